import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type ByteRange,
  createMultipart,
  lengthOf,
  parseRange,
} from '../../../src/http/download/byte-ranges.ts'

describe('one range', () => {
  test.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=10-19', { start: 10, end: 19 }],
    ['bytes=90-', { start: 90, end: 99 }],
    ['bytes=90-1000', { start: 90, end: 99 }],
    ['bytes=-1', { start: 99, end: 99 }],
    ['bytes=-1000', { start: 0, end: 99 }],
    ['BYTES= 1-2 ,', { start: 1, end: 2 }],
    [`bytes=5-${'9'.repeat(30)}`, { start: 5, end: 99 }],
  ])('%s of 100 bytes', (header, range) => {
    expect(parseRange(header, 100)).toEqual([range])
  })

  test.each([
    'bytes=100-',
    'bytes=100-200',
    'bytes=-0',
    'bytes=100-,200-300',
    `bytes=${'9'.repeat(30)}-`,
  ])('%s lies behind 100 bytes', (header) => expect(parseRange(header, 100)).toBe('unsatisfiable'))

  test.each([
    undefined,
    '',
    'bytes',
    'bytes=',
    'bytes=,',
    'bytes=-',
    'bytes=5',
    'bytes=9-5',
    'bytes=a-b',
    'bytes=1.5-2',
    'bytes=0x1-2',
    'bytes=+1-2',
    'bytes=0-1,nonsense',
    'bytes=--5',
    'bytes=1-2-3',
    'items=0-1',
  ])('%s is ignored', (header) => {
    expect(parseRange(header, 100)).toBe('whole')
  })

  test('is not satisfiable for an empty file', () => {
    expect(parseRange('bytes=0-', 0)).toBe('whole')
    expect(parseRange('bytes=-5', 0)).toBe('whole')
  })
})

describe('several ranges', () => {
  test('keep the requested order', () => {
    const ranges = parseRange('bytes=50-59, 0-9,-5', 100)
    expect(ranges).toEqual([
      { start: 50, end: 59 },
      { start: 0, end: 9 },
      { start: 95, end: 99 },
    ])
  })

  test('are merged if they overlap or touch', () => {
    expect(parseRange('bytes=0-9,10-19,5-12', 100)).toEqual([{ start: 0, end: 19 }])
    expect(parseRange('bytes=80-,0-0,70-85', 100)).toEqual([
      { start: 70, end: 99 },
      { start: 0, end: 0 },
    ])
  })

  test('are dropped if they start beyond the end', () => {
    expect(parseRange('bytes=0-0,500-', 100)).toEqual([{ start: 0, end: 0 }])
  })

  test('are ignored if more than sixteen are apart; a thousand equal ones are one', () => {
    const apart = (n: number) => `bytes=${Array.from({ length: n }, (_, i) => `${i * 2}-${i * 2}`)}`
    expect(parseRange(apart(16), 100)).toHaveLength(16)
    expect(parseRange(apart(17), 100)).toBe('whole')
    expect(parseRange(`bytes=${Array(1000).fill('0-')}`, 100)).toEqual([{ start: 0, end: 99 }])
  })
})

const bytesOf = (ranges: ByteRange[]) =>
  new Set(
    ranges.flatMap(({ start, end }) =>
      Array.from({ length: end - start + 1 }, (_, i) => start + i),
    ),
  )

test('returns for any request parts with exactly the requested bytes, inside the file, each byte once', () => {
  const spec = fc.oneof(
    fc.tuple(fc.nat(60), fc.nat(60)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)].join('-')),
    fc.nat(60).map((a) => `${a}-`),
    fc.nat(60).map((n) => `-${n}`),
  )
  fc.assert(
    fc.property(
      fc.array(spec, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 50 }),
      (specs, size) => {
        const wanted = parseRange(`bytes=${specs.join(', ')}`, size)
        const model = specs
          .map((one) => parseRange(`bytes=${one}`, size))
          .filter((one) => typeof one !== 'string')
        if (typeof wanted === 'string') {
          expect(model).toEqual([])
          return
        }
        expect(bytesOf(wanted)).toEqual(bytesOf(model.flat()))
        expect(wanted.reduce((sum, range) => sum + lengthOf(range), 0)).toBe(bytesOf(wanted).size)
        expect(wanted.every(({ start, end }) => start >= 0 && start <= end && end < size)).toBe(
          true,
        )
      },
    ),
  )
})

test('writes a multipart body of exactly the announced length that can be parsed again', () => {
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => 33 + (i % 90)))
  const ranges = [
    { start: 50, end: 59 },
    { start: 0, end: 9 },
  ]
  const frame = createMultipart(ranges, { size: 100, contentType: 'image/png', boundary: 'B7' })
  const parts = frame.parts.map(
    ({ head, range }) => head + bytes.subarray(range.start, range.end + 1).toString(),
  )
  const body = parts.join('') + frame.tail
  expect(frame.contentType).toBe('multipart/byteranges; boundary=B7')
  expect(body).toHaveLength(frame.contentLength)
  expect(body).toBe(
    `--B7\r\nContent-Type: image/png\r\nContent-Range: bytes 50-59/100\r\n\r\n${bytes.subarray(50, 60)}` +
      `\r\n--B7\r\nContent-Type: image/png\r\nContent-Range: bytes 0-9/100\r\n\r\n${bytes.subarray(0, 10)}\r\n--B7--\r\n`,
  )
})
