import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { wrapIoError } from '../../../blobs/disk/errors.ts'

/**
 * Creates a temporary folder that is removed with its content when the result is disposed. Throws
 * StorageError.
 */
export async function createTempFolder(prefix: string): Promise<{ dir: string } & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), prefix)).catch(
    wrapIoError('cannot create a temporary folder'),
  )
  // A failed removal must not fail the operation: the operating system cleans its temporary folder.
  const remove = () => rm(dir, { recursive: true, force: true }).catch(() => {})
  return { dir, [Symbol.asyncDispose]: remove }
}

const CHUNK_BYTES = 256 * 1024

/**
 * Creates a temporary file for data that does not fit in memory. It is written sequentially and can then be
 * read any number of times. After a failed write, `lines` still yields the lines that are not in the file.
 * Throws StorageError.
 */
export async function createTempFile(path: string) {
  const file = await open(path, 'wx+').catch(wrapIoError('cannot create a temporary file'))
  const hash = createHash('sha256')
  let pending: string[] = []
  let length = 0
  let size = 0
  let crc = 0
  async function flush() {
    const bytes = Buffer.from(pending.join(''))
    // Unlike write, appendFile never writes only a part of the bytes.
    await file.appendFile(bytes).catch(wrapIoError('cannot write to a temporary file'))
    pending = []
    length = 0
    hash.update(bytes)
    crc = crc32(bytes, crc)
    size += bytes.length
  }
  /** Splits at \n only, because names may contain other characters that node:readline treats as line ends. */
  async function* writtenLines() {
    if (size === 0) return
    let rest = ''
    for await (const chunk of createReadStream(path, { end: size - 1, encoding: 'utf8' })) {
      const lines: string[] = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
    if (rest !== '') yield rest
  }
  return {
    async write(text: string) {
      pending.push(text)
      length += text.length
      if (length >= CHUNK_BYTES) await flush()
    },
    async flush() {
      await flush()
      return { size, crc, sha256: hash.copy().digest('hex') }
    },
    async *lines<T>(parse: (line: string) => T | null = JSON.parse): AsyncGenerator<T> {
      for await (const line of writtenLines()) {
        const value = parse(line)
        if (value !== null) yield value
      }
      for (const line of pending) yield* [parse(line)].filter((value) => value !== null)
    },
    read: ({ start, end }: { start: number; end: number }) =>
      file.createReadStream({ start, end, autoClose: false, highWaterMark: CHUNK_BYTES }),
    [Symbol.asyncDispose]: () => file.close(),
  }
}

export type TempFile = Awaited<ReturnType<typeof createTempFile>>
