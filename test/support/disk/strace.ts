import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** A system call that succeeded, with the lines of the trace where it began and ended. */
export type Call = {
  name: string
  /** The arguments as strace wrote them, without strings and paths. */
  args: string
  /** The path of its first argument, if that is a file descriptor. */
  path: string
  /** Its strings in order, paths and bytes. */
  strings: Buffer[]
  result: number
  begun: number
  ended: number
}

const changes = `openat creat mkdir mkdirat rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat rmdir
  write writev pwrite64 pwritev pwritev2 ftruncate truncate fallocate copy_file_range sendfile
  fsync fdatasync sync_file_range sendto sendmsg`

/**
 * Returns a command prefix that records all changes on disk and all socket writes in `file`. The command
 * remains a direct child of this process.
 */
export const strace = (file: string): string[] => [
  ...['strace', '-D', '-f', '-y', '-xx', '-s', '100000000', '-o', file],
  ...['-e', `trace=${changes.split(/\s+/).join(',')}`],
]

/** Whether processes can be traced here. */
export const canTrace = spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0

/** Returns the calls of all threads, in the order in which they ended. */
export function readTrace(file: string): Call[] {
  const begun = new Map<string, { text: string; line: number }>()
  const calls: Call[] = []
  for (const [line, text] of readFileSync(file, 'latin1').split('\n').entries()) {
    const [, thread = '', event = ''] = /^(\d+) +(.*)$/.exec(text) ?? []
    const rest = /^<\.\.\. \w+ resumed>(.*)$/.exec(event)?.[1]
    const from = rest === undefined ? { text: '', line } : begun.get(thread)
    const whole = `${from?.text}${rest ?? event}`
    if (whole.endsWith(UNFINISHED))
      begun.set(thread, { text: whole.slice(0, -UNFINISHED.length), line })
    else calls.push(...callOf(whole, from?.line ?? line, line))
  }
  return calls
}

const UNFINISHED = ' <unfinished ...>'

/** Ignores signals, thread exits and failed calls. */
function callOf(text: string, begun: number, ended: number): Call[] {
  const [, name, args = '', result] = /^(\w+)\((.*)\) += (\d+)/.exec(text) ?? []
  if (!name) return []
  const [, hex = ''] = /^\d+<((?:\\x..)*)>/.exec(args) ?? []
  const strings = Array.from(args.matchAll(/"((?:\\x..)*)"/g), ([, hex = '']) => bytesOf(hex))
  const plain = args.replaceAll(/(?:\\x..)+/g, '')
  return [
    { name, args: plain, path: `${bytesOf(hex)}`, strings, result: Number(result), begun, ended },
  ]
}

const bytesOf = (hex: string) => Buffer.from(hex.replaceAll('\\x', ''), 'hex')
