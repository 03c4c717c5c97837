/**
 * One member of a ZIP file as defined by APPNOTE.TXT 6.3.10; the numbers in comments are its sections.
 * Members are stored without compression, and the length of each record depends only on name, size and
 * offset. Therefore the length of the archive is known before its files are read.
 */
export type Member = {
  /** Path with slashes. The name of a folder ends with one. */
  name: string
  size: number
  /** Milliseconds since 1970. */
  modifiedAt: number
  /** Absent if not known in advance. Then a data descriptor follows the bytes (4.3.9). */
  crc?: number | undefined
}

/** Marks a number that does not fit in 32 bits and is stored in the ZIP64 field instead (4.5.3). */
const LARGE = 0xffffffff
const UTF8 = 0x0800
const HAS_DESCRIPTOR = 0x0008
const MADE_BY_UNIX = 3 << 8
const TIMESTAMP_BYTES = 9

const isFolderName = (name: string) => name.endsWith('/')
const isLarge = ({ size }: Member) => size >= LARGE
/** The CRC of an empty member is 0. */
const knownCrc = ({ size, crc }: Member) => (size === 0 ? 0 : crc)
const hasDescriptor = (member: Member) => knownCrc(member) === undefined
const nameBytes = ({ name }: Member) => Buffer.byteLength(name)

export const localSize = (member: Member) =>
  30 + nameBytes(member) + TIMESTAMP_BYTES + (isLarge(member) ? 20 : 0)

export const descriptorSize = (member: Member) =>
  hasDescriptor(member) ? (isLarge(member) ? 24 : 16) : 0

/** Returns the total size of header, bytes and descriptor. */
export const memberSize = (member: Member) =>
  localSize(member) + member.size + descriptorSize(member)

export const centralSize = (member: Member, offset: number) =>
  46 + nameBytes(member) + TIMESTAMP_BYTES + centralZip64(member, offset).length

/** Size of the ZIP64 end record, its locator and the end record. */
export const ENDING_BYTES = 56 + 20 + 22

/** Returns the local header of a member (4.3.7). */
export function localHeader(member: Member): Buffer {
  const name = Buffer.from(member.name)
  const extra = Buffer.concat([
    timestamp(member),
    isLarge(member) ? zip64([member.size, member.size]) : Buffer.alloc(0),
  ])
  const head = Buffer.alloc(30)
  head.writeUInt32LE(0x04034b50, 0)
  writeCommon(head, 4, member, knownCrc(member) ?? 0)
  head.writeUInt16LE(name.length, 26)
  head.writeUInt16LE(extra.length, 28)
  return Buffer.concat([head, name, extra])
}

/**
 * Returns the data descriptor with its signature (4.3.9). Sizes have 8 bytes if the local header has a ZIP64
 * field.
 */
export function descriptor(member: Member, crc: number): Buffer {
  const record = Buffer.alloc(descriptorSize(member))
  record.writeUInt32LE(0x08074b50, 0)
  record.writeUInt32LE(crc, 4)
  for (const position of isLarge(member) ? [8, 16] : []) writeLong(record, member.size, position)
  for (const position of isLarge(member) ? [] : [8, 12]) record.writeUInt32LE(member.size, position)
  return record
}

/** Returns the central directory header of a member (4.3.12). */
export function centralHeader(member: Member, offset: number, crc: number): Buffer {
  const name = Buffer.from(member.name)
  const extra = Buffer.concat([timestamp(member), centralZip64(member, offset)])
  const head = Buffer.alloc(46)
  head.writeUInt32LE(0x02014b50, 0)
  head.writeUInt16LE(MADE_BY_UNIX | 45, 4)
  writeCommon(head, 6, member, crc)
  head.writeUInt16LE(name.length, 28)
  head.writeUInt16LE(extra.length, 30)
  head.writeUInt32LE(isFolderName(member.name) ? FOLDER_MODE : FILE_MODE, 38)
  head.writeUInt32LE(Math.min(offset, LARGE), 42)
  return Buffer.concat([head, name, extra])
}

/** drwxr-xr-x with the DOS directory bit, and -rw-r--r--. */
const FOLDER_MODE = ((0o040755 << 16) | 0x10) >>> 0
const FILE_MODE = (0o100644 << 16) >>> 0

/**
 * Returns the end records (4.3.14 to 4.3.16). They always include the ZIP64 records, so that their length is
 * constant.
 */
export function endRecords({
  count,
  size,
  offset,
}: {
  count: number
  size: number
  offset: number
}) {
  const record = Buffer.alloc(ENDING_BYTES)
  record.writeUInt32LE(0x06064b50, 0)
  writeLong(record, 44, 4)
  record.writeUInt16LE(MADE_BY_UNIX | 45, 12)
  record.writeUInt16LE(45, 14)
  for (const [value, position] of [
    [count, 24],
    [count, 32],
    [size, 40],
    [offset, 48],
  ] as const)
    writeLong(record, value, position)
  record.writeUInt32LE(0x07064b50, 56)
  writeLong(record, offset + size, 64)
  record.writeUInt32LE(1, 72)
  record.writeUInt32LE(0x06054b50, 76)
  for (const position of [84, 86]) record.writeUInt16LE(Math.min(count, 0xffff), position)
  record.writeUInt32LE(Math.min(size, LARGE), 88)
  record.writeUInt32LE(Math.min(offset, LARGE), 92)
  return record
}

/** Writes the fields that local and central headers share, from "version needed" to the sizes. */
function writeCommon(head: Buffer, at: number, member: Member, crc: number) {
  const { date, time } = dosTime(member.modifiedAt)
  head.writeUInt16LE(isLarge(member) ? 45 : 20, at)
  head.writeUInt16LE(UTF8 | (hasDescriptor(member) ? HAS_DESCRIPTOR : 0), at + 2)
  head.writeUInt16LE(time, at + 6)
  head.writeUInt16LE(date, at + 8)
  head.writeUInt32LE(crc, at + 10)
  for (const position of [14, 18]) head.writeUInt32LE(Math.min(member.size, LARGE), at + position)
}

/**
 * Returns Info-ZIP's extended timestamp field: seconds since 1970, while DOS times have a resolution of two
 * seconds.
 */
function timestamp({ modifiedAt }: Member): Buffer {
  const field = Buffer.alloc(TIMESTAMP_BYTES)
  field.writeUInt16LE(0x5455, 0)
  field.writeUInt16LE(5, 2)
  field.writeUInt8(1, 4)
  field.writeInt32LE(Math.min(Math.floor(modifiedAt / 1000), 0x7fffffff), 5)
  return field
}

function centralZip64(member: Member, offset: number): Buffer {
  const values = [
    ...(isLarge(member) ? [member.size, member.size] : []),
    ...(offset >= LARGE ? [offset] : []),
  ]
  return values.length > 0 ? zip64(values) : Buffer.alloc(0)
}

function zip64(values: number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length)
  field.writeUInt16LE(1, 0)
  field.writeUInt16LE(8 * values.length, 2)
  for (const [i, value] of values.entries()) writeLong(field, value, 4 + 8 * i)
  return field
}

const writeLong = (record: Buffer, value: number, position: number) =>
  record.writeBigUInt64LE(BigInt(value), position)

/**
 * Converts a time to a DOS date and time in UTC, with a resolution of two seconds, limited to 1980 to 2107.
 */
function dosTime(at: number): { date: number; time: number } {
  const moment = new Date(Math.min(Math.max(at, Date.UTC(1980, 0, 1)), Date.UTC(2107, 11, 31)))
  const year = moment.getUTCFullYear() - 1980
  return {
    date: (year << 9) | ((moment.getUTCMonth() + 1) << 5) | moment.getUTCDate(),
    time:
      (moment.getUTCHours() << 11) | (moment.getUTCMinutes() << 5) | (moment.getUTCSeconds() >> 1),
  }
}
