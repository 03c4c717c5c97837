import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  MAX_PARTS,
  partCount,
  partLength,
  partSizeFor,
} from '../../src/blobs/s3/multipart/part-sizes.ts'

const MIB = 1024 ** 2
const TIB = 1024 ** 4

test('fits the largest S3 object into the maximum number of parts', () => {
  expect(partCount(5 * TIB, partSizeFor(5 * TIB))).toBeLessThanOrEqual(MAX_PARTS)
  expect(partSizeFor(5 * TIB)).toBe(552 * MIB)
})

test('uses parts of 8 MiB for small uploads, and parts for 625 GiB if the length is not known', () => {
  expect(partSizeFor(1)).toBe(8 * MIB)
  expect(partSizeFor(9500 * 8 * MIB)).toBe(8 * MIB)
  expect(partSizeFor(9500 * 8 * MIB + 1)).toBe(9 * MIB)
  expect(partSizeFor(null) * MAX_PARTS).toBe(625 * 1024 ** 3)
})

test('uses equal parts of whole MiB, at most 9,500, that add up to the upload', () => {
  const sizes = fc.oneof(
    fc.nat(200 * MIB),
    fc.maxSafeNat().map((size) => size % (5 * TIB)),
  )
  fc.assert(
    fc.property(sizes, (size) => {
      const partSize = partSizeFor(size)
      const count = partCount(size, partSize)
      expect(partSize % MIB).toBe(0)
      expect(partSize).toBeGreaterThanOrEqual(8 * MIB)
      expect(count).toBeLessThanOrEqual(9_500)
      if (size === 0) return
      const last = partLength(size, partSize, count)
      expect(partLength(size, partSize, 1)).toBe(Math.min(size, partSize))
      expect(last).toBeGreaterThan(0)
      expect((count - 1) * partSize + last).toBe(size)
    }),
  )
})
