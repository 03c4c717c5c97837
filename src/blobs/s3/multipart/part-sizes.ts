const MIB = 1024 ** 2

/** The S3 limit of parts per upload. */
export const MAX_PARTS = 10_000
const MIN_PART_BYTES = 8 * MIB
/** The part size of an upload of unknown length: 10,000 parts are 625 GiB. */
const UNKNOWN_SIZE_PART_BYTES = 64 * MIB

/**
 * Returns the size of all parts but the last, which may be smaller, for an upload of `size` bytes (null: not
 * known). R2 requires equal parts. The result is in whole MiB, for at most about 9,500 parts.
 */
export function partSizeFor(size: number | null): number {
  if (size === null) return UNKNOWN_SIZE_PART_BYTES
  const even = Math.ceil(size / 9500)
  return Math.max(MIN_PART_BYTES, Math.ceil(even / MIB) * MIB)
}

/** Returns the size in bytes of part `number` (from 1) of an upload of `size` bytes. */
export function partLength(size: number, partSize: number, number: number): number {
  return Math.min(partSize, size - (number - 1) * partSize)
}

export const partCount = (size: number, partSize: number) => Math.ceil(size / partSize)
