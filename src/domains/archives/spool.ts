import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { crc32 } from 'node:zlib'

const CHUNK_BYTES = 256 * 1024

/** Where what is too much for the memory is put down meanwhile: a file that is written from its start to its end, and then read any number of times. */
export async function openSpool(path: string) {
  const file = await open(path, 'wx+')
  const hash = createHash('sha256')
  let waiting: string[] = []
  let length = 0
  let size = 0
  let crc = 0
  async function flush() {
    const bytes = Buffer.from(waiting.join(''))
    waiting = []
    length = 0
    hash.update(bytes)
    crc = crc32(bytes, crc)
    size += (await file.write(bytes)).bytesWritten
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
      const input = createReadStream(path)
      try {
        for await (const line of createInterface({ input })) {
          const value = parse(line)
          if (value !== null) yield value
        }
      } finally {
        input.destroy()
      }
    },
    read: ({ start, end }: { start: number; end: number }) =>
      file.createReadStream({ start, end, autoClose: false, highWaterMark: CHUNK_BYTES }),
    [Symbol.asyncDispose]: () => file.close(),
  }
}

export type Spool = Awaited<ReturnType<typeof openSpool>>
