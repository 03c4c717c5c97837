import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { repairPartHeaders } from '../../../src/http/upload/part-headers.ts'

const type = 'multipart/form-data; boundary="b"'

/** Returns what the stream makes of the bytes, in chunks of these lengths, without the first line break. */
async function passed(bytes: Buffer, lengths: number[] = [bytes.length]): Promise<Buffer> {
  const chunks: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length] ?? 1
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  const out = Readable.from(chunks).pipe(repairPartHeaders(type))
  return Buffer.concat(await Array.fromAsync(out)).subarray(2)
}

const part = (parameters: string, content: Buffer | string) =>
  Buffer.concat([
    Buffer.from(
      `--b\r\nContent-Disposition: form-data; name="file"${parameters}\r\n\r\n`,
      'latin1',
    ),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ])
const end = Buffer.from('--b--\r\n')

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })
const content = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))

test('a form without an undecodable filename* passes unchanged, however it is cut', () =>
  fc.assert(
    fc.asyncProperty(lengths, content, async (lengths, content) => {
      const form = Buffer.concat([
        part('; filename="a"', content),
        part(`; filename*=UTF-8''%C3%B6; filename="a\\"; filename*=x"`, `filename*=x`),
        part('', Buffer.concat([content, Buffer.from('--b\r\nfilename*=x\r\n\r\n')])),
        end,
      ])
      expect((await passed(form, lengths)).equals(form)).toBe(true)
    }),
  ))

test('an undecodable filename* is removed, however the form is cut', () =>
  fc.assert(
    fc.asyncProperty(lengths, content, async (lengths, content) => {
      const form = (extended: string) =>
        Buffer.concat([
          part(`; filename="a"${extended}`, content),
          part(`${extended}; filename="\xe9"`, 'x'),
          end,
        ])
      const broken = form("; FileName*=UTF-8''%ff ")
      expect((await passed(broken, lengths)).equals(form(''))).toBe(true)
    }),
  ))

test('headers without an end, and bytes that are no form, pass in bounded memory', async () => {
  const endless = Buffer.concat([Buffer.from('--b\r\n'), Buffer.alloc(1 << 20, 'x')])
  expect((await passed(endless, [65_536])).equals(endless)).toBe(true)
  const noise = randomBytes(1 << 20)
  expect((await passed(noise, [65_536])).equals(noise)).toBe(true)
})
