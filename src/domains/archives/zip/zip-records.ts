import { InvalidInput } from '../../../errors/input.ts'

/** A member of an uploaded ZIP file. Its data is untrusted until validated. */
export type ZipMember = {
  name: string
  /** 0: stored; 8: deflated. */
  method: number
  compressedSize: number
  size: number
  crc: number
  /** Offset of the local header. */
  offset: number
  /** Length of the encoded name in bytes. */
  nameLength: number
}

export const invalidArchive = (message: string) => new InvalidInput({ path: ['uploadId'], message })

const LARGE = 0xffffffff
const CENTRAL_BYTES = 46
const ENCRYPTED = 0x0001 | 0x0040 | 0x2000
const UNIX = 3
const FOLDER = 0o040000
const REGULAR = 0o100000

/** Position of the central directory according to the end records (APPNOTE 4.3.14 to 4.3.16). */
export type ZipEnd = { offset: number; size: number; count: number }

/**
 * Parses the end records. `tail` is the end of the file; `read` reads the ZIP64 record at the offset in its
 * locator.
 */
export async function zipEnd(
  tail: Buffer,
  read: (offset: number, length: number) => Promise<Buffer>,
): Promise<ZipEnd> {
  const at = endAt(tail)
  const end = tail.subarray(at)
  const locator = tail.subarray(Math.max(0, at - 20), at)
  if (locator.length === 20 && locator.readUInt32LE(0) === 0x07064b50) {
    const record = await read(long(locator, 8), 56)
    if (record.length < 56 || record.readUInt32LE(0) !== 0x06064b50)
      throw invalidArchive('there is no ZIP64 record at the offset of its locator')
    return { count: long(record, 32), size: long(record, 40), offset: long(record, 48) }
  }
  return { count: end.readUInt16LE(10), size: end.readUInt32LE(12), offset: end.readUInt32LE(16) }
}

/** Returns the offset of the last end record whose comment reaches to the end of the file. */
function endAt(tail: Buffer): number {
  for (let at = tail.length - 22; at >= 0; at--) {
    if (
      tail.readUInt32LE(at) === 0x06054b50 &&
      at + 22 + tail.readUInt16LE(at + 20) === tail.length
    )
      return at
  }
  throw invalidArchive('this is not a ZIP archive, or it is truncated')
}

/**
 * Returns the length of the central record at the start of `bytes`, or null if `bytes` does not contain all
 * of it.
 */
export function centralLength(bytes: Buffer): number | null {
  if (bytes.length < CENTRAL_BYTES) return null
  if (bytes.readUInt32LE(0) !== 0x02014b50) throw invalidArchive('the central directory is invalid')
  const length =
    CENTRAL_BYTES + bytes.readUInt16LE(28) + bytes.readUInt16LE(30) + bytes.readUInt16LE(32)
  return length <= bytes.length ? length : null
}

/**
 * Parses a central record. Throws InvalidInput for encryption, unsupported methods, links, devices and unsafe
 * names.
 */
export function centralMember(record: Buffer): ZipMember {
  const nameLength = record.readUInt16LE(28)
  const name = nameOf(record.subarray(CENTRAL_BYTES, CENTRAL_BYTES + nameLength))
  const method = record.readUInt16LE(10)
  if (record.readUInt16LE(8) & ENCRYPTED) throw invalidArchive(`${quoted(name)} is encrypted`)
  if (method !== 0 && method !== 8)
    throw invalidArchive(
      `${quoted(name)} uses compression method ${method}; only 0 and 8 are supported`,
    )
  assertRegular(record, name)
  const member = {
    ...sizesOf(record, CENTRAL_BYTES + nameLength),
    ...{ name, method, nameLength, crc: record.readUInt32LE(16) },
  }
  if (method === 0 && member.size !== member.compressedSize)
    throw invalidArchive(`${quoted(name)} is stored, but its two sizes differ`)
  return member
}

function assertRegular(record: Buffer, name: string) {
  if (record.readUInt8(5) !== UNIX) return
  const type = (record.readUInt32LE(38) >>> 16) & 0o170000
  if (type !== 0 && type !== FOLDER && type !== REGULAR)
    throw invalidArchive(`${quoted(name)} is a link or a device, not a file`)
}

/**
 * Parses sizes and offset. Values that do not fit in 32 bits are in the ZIP64 field, in this order (APPNOTE
 * 4.5.3).
 */
function sizesOf(record: Buffer, extraAt: number) {
  const extra = record.subarray(extraAt, extraAt + record.readUInt16LE(30))
  const zip64 = zip64Field(extra)
  let at = 0
  const value = (position: number) => {
    const short = record.readUInt32LE(position)
    if (short !== LARGE || !zip64) return short
    if (at + 8 > zip64.length) throw invalidArchive('a ZIP64 field is too short for its values')
    at += 8
    return long(zip64, at - 8)
  }
  const size = value(24)
  const compressedSize = value(20)
  return { size, compressedSize, offset: value(42) }
}

function zip64Field(extra: Buffer): Buffer | null {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) === 1)
      return extra.subarray(at + 4, at + 4 + extra.readUInt16LE(at + 2))
  }
  return null
}

/** Decodes a name as UTF-8, regardless of its flag, or as Latin-1 if it is not valid UTF-8. */
function nameOf(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  const name = Buffer.from(text).equals(bytes) ? text : bytes.toString('latin1')
  const names = name.replace(/\/$/, '').split('/')
  const isUnsafe = names.some((part) => part === '' || part === '.' || part === '..')
  if (isUnsafe || /[\\\0]|^[a-z]:/i.test(name))
    throw invalidArchive(`${quoted(name)} is not a valid relative path`)
  return name
}

function long(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalidArchive('a ZIP64 value exceeds 2^53-1')
  return Number(value)
}

const quoted = (name: string) => JSON.stringify(name.slice(0, 200))
