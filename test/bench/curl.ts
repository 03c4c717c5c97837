import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ADMIN_TOKEN } from './question.ts'

// Sends and fetches large bodies with one curl process, which costs less CPU than a client in Node.js.

export const MIB = 1024 ** 2
const run = promisify(execFile)

const patchHeaders = {
  Authorization: `Bearer ${ADMIN_TOKEN}`,
  'Tus-Resumable': '1.0.0',
  'Upload-Offset': '0',
  'Content-Type': 'application/offset+octet-stream',
  // No server rejects the request, so Expect: 100-continue only costs time.
  Expect: '',
}
const patch = [
  '-XPATCH',
  ...Object.entries(patchHeaders).flatMap(([name, value]) => ['-H', `${name}: ${value}`.trim()]),
]

/** PATCHes all files to their URLs concurrently. */
export const sendAll = (
  sent: { file: string; url: string }[],
  options: string[] = [],
): Promise<unknown> =>
  curl([
    ...patch,
    ...sent.flatMap(({ file, url }) => ['-T', file, '-o', '/dev/null', url]),
    ...options,
  ])

/** GETs all URLs concurrently and discards the bodies. */
export const fetchAll = (urls: string[], options: string[] = []): Promise<unknown> =>
  curl([...urls.flatMap((url) => ['-o', '/dev/null', url]), ...options])

/** GETs the ranges one after the other over one connection. */
export const fetchRanges = (url: string, ranges: string[]): Promise<unknown> =>
  run(
    'curl',
    ranges.flatMap((range) => ['-sSf', '-r', range, '-o', '/dev/null', url, '--next']).slice(0, -1),
  )

const parallelOptions = ['-Z', '--parallel-immediate', '--parallel-max', '100', '-sSf', '-m', '300']
const curl = (args: string[]) => run('curl', [...parallelOptions, ...args])

/** Creates files of random bytes in `dir`. */
export const fillMany = (dir: string, count: number, size: number): Promise<string[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => fill(join(dir, `bytes-${n}`), size)))

/** Changes some bytes, so that deduplication does not recognise the file. */
export async function change(path: string) {
  await using file = await open(path, 'r+')
  await file.write(randomBytes(16), 0, 16, 0)
}

/** Creates a file of random bytes. */
export async function fill(path: string, size: number): Promise<string> {
  await using file = await open(path, 'w')
  const chunkBytes = Math.min(size, 16 * MIB)
  for (let at = 0; at < size; at += chunkBytes) await file.write(randomBytes(chunkBytes))
  return path
}
