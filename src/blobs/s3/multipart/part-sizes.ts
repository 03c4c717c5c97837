const MIB = 1024 ** 2

/** S3 takes no more parts of one upload. */
export const MAX_PARTS = 10_000
const SMALLEST_PART = 8 * MIB
/** Of an upload whose length is not known: 10,000 of them are 625 GiB. */
const UNKNOWN_PART = 64 * MIB

/**
 * The size of all parts of an upload of `size` bytes (null: not known) but the last, which may be smaller: R2 takes no other.
 * A few hundred less than the most there may be, in whole MiB.
 */
export function partSizeFor(size: number | null): number {
  if (size === null) return UNKNOWN_PART
  const even = Math.ceil(size / 9500)
  return Math.max(SMALLEST_PART, Math.ceil(even / MIB) * MIB)
}

/** How many bytes part `number` (from 1) of `size` bytes has. */
export function partLength(size: number, partSize: number, number: number): number {
  return Math.min(partSize, size - (number - 1) * partSize)
}

export const partCount = (size: number, partSize: number) => Math.ceil(size / partSize)
