import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ADMIN_TOKEN } from './question.ts'

// Large bodies, sent and fetched by one process of curl, which costs the machine less than a client in Node would.

export const MIB = 1024 ** 2
const run = promisify(execFile)

const patchHeaders = {
  Authorization: `Bearer ${ADMIN_TOKEN}`,
  'Tus-Resumable': '1.0.0',
  'Upload-Offset': '0',
  'Content-Type': 'application/offset+octet-stream',
  // None of the servers would say no, so none need be asked.
  Expect: '',
}
const patch = [
  '-XPATCH',
  ...Object.entries(patchHeaders).flatMap(([name, value]) => ['-H', `${name}: ${value}`.trim()]),
]

/** PATCHes each file to its URL, all at once. */
export const sendAll = (
  sent: { file: string; url: string }[],
  options: string[] = [],
): Promise<unknown> =>
  curl([
    ...patch,
    ...sent.flatMap(({ file, url }) => ['-T', file, '-o', '/dev/null', url]),
    ...options,
  ])

/** GETs each of the URLs, all at once, and keeps nothing. */
export const fetchAll = (urls: string[], options: string[] = []): Promise<unknown> =>
  curl([...urls.flatMap((url) => ['-o', '/dev/null', url]), ...options])

/** GETs each of the ranges, one after the other over one connection. */
export const fetchRanges = (url: string, ranges: string[]): Promise<unknown> =>
  run(
    'curl',
    ranges.flatMap((range) => ['-sSf', '-r', range, '-o', '/dev/null', url, '--next']).slice(0, -1),
  )

const atOnce = ['-Z', '--parallel-immediate', '--parallel-max', '100', '-sSf', '-m', '300']
const curl = (words: string[]) => run('curl', [...atOnce, ...words])

/** Files of random bytes, below `dir`. */
export const fillMany = (dir: string, count: number, size: number): Promise<string[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => fill(join(dir, `bytes-${n}`), size)))

/** Other bytes than before, since those that are known already would not be kept twice. */
export async function change(path: string) {
  await using file = await open(path, 'r+')
  await file.write(randomBytes(16), 0, 16, 0)
}

/** A file of random bytes. */
export async function fill(path: string, size: number): Promise<string> {
  await using file = await open(path, 'w')
  const piece = Math.min(size, 16 * MIB)
  for (let at = 0; at < size; at += piece) await file.write(randomBytes(piece))
  return path
}
