import { InvalidInput } from '../../errors.ts'

/** A member of a ZIP file that somebody sent: nothing in it is believed before it was looked at. */
export type ZipMember = {
  name: string
  /** 0: stored; 8: deflated. */
  method: number
  compressedSize: number
  size: number
  crc: number
  /** Of its local header. */
  offset: number
  /** Of the name as it stands in the file. */
  nameLength: number
}

export const invalidArchive = (message: string) => new InvalidInput({ path: ['uploadId'], message })

const LARGE = 0xffffffff
const CENTRAL_BYTES = 46
const ENCRYPTED = 0x0001 | 0x0040 | 0x2000
const UNIX = 3
const FOLDER = 0o040000
const REGULAR = 0o100000

/** Where the central directory is, by the end records in the last bytes of the file (APPNOTE 4.3.14 to 4.3.16). */
export type ZipEnd = { offset: number; size: number; count: number }

/** `tail` is the end of the file, `read` gives the ZIP64 record where the locator says that it is. */
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
      throw invalidArchive('no ZIP64 record where it should be')
    return { count: long(record, 32), size: long(record, 40), offset: long(record, 48) }
  }
  return { count: end.readUInt16LE(10), size: end.readUInt32LE(12), offset: end.readUInt32LE(16) }
}

/** The last place where the end record can be, with a comment that reaches to the file's end. */
function endAt(tail: Buffer): number {
  for (let at = tail.length - 22; at >= 0; at--) {
    if (
      tail.readUInt32LE(at) === 0x06054b50 &&
      at + 22 + tail.readUInt16LE(at + 20) === tail.length
    )
      return at
  }
  throw invalidArchive('this is not a ZIP archive, or not all of it')
}

/** How many bytes the central record at the start of `bytes` takes; null where more of them are needed to know. */
export function centralLength(bytes: Buffer): number | null {
  if (bytes.length < CENTRAL_BYTES) return null
  if (bytes.readUInt32LE(0) !== 0x02014b50) throw invalidArchive('the central directory is broken')
  const length =
    CENTRAL_BYTES + bytes.readUInt16LE(28) + bytes.readUInt16LE(30) + bytes.readUInt16LE(32)
  return length <= bytes.length ? length : null
}

/** Throws InvalidInput for what is not taken: encryption, methods beyond deflate, links, devices, names that lead elsewhere. */
export function centralMember(record: Buffer): ZipMember {
  const nameLength = record.readUInt16LE(28)
  const name = nameOf(record.subarray(CENTRAL_BYTES, CENTRAL_BYTES + nameLength))
  const method = record.readUInt16LE(10)
  if (record.readUInt16LE(8) & ENCRYPTED) throw invalidArchive(`${shown(name)} is encrypted`)
  if (method !== 0 && method !== 8)
    throw invalidArchive(`${shown(name)} is packed by method ${method}; 0 and 8 are known`)
  refuseSpecial(record, name)
  const member = {
    ...sizesOf(record, CENTRAL_BYTES + nameLength),
    ...{ name, method, nameLength, crc: record.readUInt32LE(16) },
  }
  if (method === 0 && member.size !== member.compressedSize)
    throw invalidArchive(`${shown(name)} has two sizes`)
  return member
}

function refuseSpecial(record: Buffer, name: string) {
  if (record.readUInt8(5) !== UNIX) return
  const type = (record.readUInt32LE(38) >>> 16) & 0o170000
  if (type !== 0 && type !== FOLDER && type !== REGULAR)
    throw invalidArchive(`${shown(name)} is a link or a device, not a file`)
}

/** The sizes and the place, from the ZIP64 field where 32 bits are too few: in their order, and only those (4.5.3). */
function sizesOf(record: Buffer, extraAt: number) {
  const extra = record.subarray(extraAt, extraAt + record.readUInt16LE(30))
  const wide = zip64Field(extra)
  let at = 0
  const value = (place: number) => {
    const short = record.readUInt32LE(place)
    if (short !== LARGE || !wide) return short
    if (at + 8 > wide.length) throw invalidArchive('a ZIP64 field is too short')
    at += 8
    return long(wide, at - 8)
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

/** UTF-8, as the flag promises and most write; what is not, one character a byte. */
function nameOf(bytes: Buffer): string {
  const text = bytes.toString('utf8')
  const name = Buffer.from(text).equals(bytes) ? text : bytes.toString('latin1')
  const names = name.replace(/\/$/, '').split('/')
  const leads = names.some((part) => part === '' || part === '.' || part === '..')
  if (leads || /[\\\0]|^[a-z]:/i.test(name))
    throw invalidArchive(`${shown(name)} is not a name of a file below`)
  return name
}

function long(bytes: Buffer, at: number): number {
  const value = bytes.readBigUInt64LE(at)
  if (value > BigInt(Number.MAX_SAFE_INTEGER))
    throw invalidArchive('a number is beyond all measure')
  return Number(value)
}

const shown = (name: string) => JSON.stringify(name.slice(0, 200))
