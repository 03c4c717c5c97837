import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { wrapIoError } from '../../blobs/disk/errors.ts'

/** A folder of the system's for what is needed meanwhile; gone with all that is in it when disposed. Throws StorageError. */
export async function createTempFolder(prefix: string): Promise<{ dir: string } & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), prefix)).catch(wrapIoError('no folder for the meantime'))
  // What cannot be removed now is the system's to clear away, and no reason to say that the work failed.
  const remove = () => rm(dir, { recursive: true, force: true }).catch(() => {})
  return { dir, [Symbol.asyncDispose]: remove }
}

const CHUNK_BYTES = 256 * 1024

/**
 * Where what is too much for the memory is put down meanwhile: a file that is written from its start to its end, and then read any
 * number of times. Throws StorageError; what could not be written is still among the lines.
 */
export async function createTempFile(path: string) {
  const file = await open(path, 'wx+').catch(wrapIoError('no file for the meantime'))
  const hash = createHash('sha256')
  let waiting: string[] = []
  let length = 0
  let size = 0
  let crc = 0
  async function flush() {
    const bytes = Buffer.from(waiting.join(''))
    // All of it, also where the system takes less at once.
    await file.appendFile(bytes).catch(wrapIoError('what is needed meanwhile could not be written'))
    waiting = []
    length = 0
    hash.update(bytes)
    crc = crc32(bytes, crc)
    size += bytes.length
  }
  /** Lines end with \n alone: names may have characters in them that node:readline takes for an end as well. */
  async function* written() {
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
      waiting.push(text)
      length += text.length
      if (length >= CHUNK_BYTES) await flush()
    },
    async flush() {
      await flush()
      return { size, crc, sha256: hash.copy().digest('hex') }
    },
    async *lines<T>(parse: (line: string) => T | null = JSON.parse): AsyncGenerator<T> {
      for await (const line of written()) {
        const value = parse(line)
        if (value !== null) yield value
      }
      for (const line of waiting) yield* [parse(line)].filter((value) => value !== null)
    },
    read: ({ start, end }: { start: number; end: number }) =>
      file.createReadStream({ start, end, autoClose: false, highWaterMark: CHUNK_BYTES }),
    [Symbol.asyncDispose]: () => file.close(),
  }
}

export type TempFile = Awaited<ReturnType<typeof createTempFile>>
