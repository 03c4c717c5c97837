import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { crc32, createInflateRaw } from 'node:zlib'
import type { BlobStore } from '../../../blobs/blob-store.ts'
import {
  centralLength,
  centralMember,
  invalidArchive,
  type ZipEnd,
  type ZipMember,
  zipEnd,
} from './zip-records.ts'

/** A ZIP archive whose central directory has been validated. */
export type Zip = {
  count: number
  members: () => AsyncGenerator<ZipMember>
  find: (name: string) => Promise<ZipMember | null>
  /** Yields the decompressed bytes of a member. Throws InvalidInput if they do not match its size and CRC. */
  open: (member: ZipMember) => AsyncGenerator<Buffer>
}
type Blob = { id: string; size: number }

const MAX_MEMBERS = 1_000_000
const MAX_CENTRAL_BYTES = 512 * 1024 * 1024
/** A member above SMALL_BYTES with a higher compression ratio is treated as a ZIP bomb. */
const MAX_COMPRESSION_RATIO = 200
const SMALL_BYTES = 10 * 1024 * 1024
/** Size of the end record with the longest comment, plus the ZIP64 locator. */
const MAX_END_BYTES = 65_557 + 20

/**
 * Reads and validates the central directory of a ZIP file. Throws InvalidInput for path traversal, links,
 * encryption, duplicate names, overlapping members, ZIP bombs and too many members. Keeps two numbers for
 * each member in memory.
 */
export async function openZip(blobs: BlobStore, { id, size }: Blob): Promise<Zip> {
  const read = async (offset: number, length: number) =>
    offset >= size
      ? Buffer.alloc(0)
      : readAll(await blobs.open(id, byteRange(offset, length, size)))
  const tailOffset = Math.max(0, size - MAX_END_BYTES)
  const end = await zipEnd(
    size === 0 ? Buffer.alloc(0) : await read(tailOffset, MAX_END_BYTES),
    read,
  )
  if (end.count > MAX_MEMBERS) throw tooManyMembers(end.count)
  if (end.size > MAX_CENTRAL_BYTES || end.offset + end.size > size)
    throw invalidArchive('the central directory is too large or lies outside the file')
  const records = () => centralRecords(blobs, id, end)
  const { positions, count } = await validateRecords(records(), end)
  return {
    count,
    async *members() {
      for await (const { member } of records()) yield member
    },
    async find(name) {
      const position = positions.get(keyOf(name))
      if (position === undefined) return null
      const member = centralMember(await recordAt(read, position))
      return member.name === name ? member : null
    },
    open: (member) => decompress(member, () => openCompressed(blobs, id, member, { read, end })),
  }
}

const tooManyMembers = (count: number) =>
  invalidArchive(`the archive has ${count} members (limit ${MAX_MEMBERS})`)

/** Reads 4096 bytes first, because few records are longer. */
async function recordAt(read: ReadContext['read'], position: number): Promise<Buffer> {
  const record = await read(position, 4096)
  return centralLength(record) === null ? read(position, 46 + 3 * 65_535) : record
}

const byteRange = (start: number, length: number, size: number) => ({
  start,
  end: Math.min(start + length, size) - 1,
})

async function readAll(bytes: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

type CentralRecord = { member: ZipMember; position: number }

async function* centralRecords(
  blobs: BlobStore,
  id: string,
  end: ZipEnd,
): AsyncGenerator<CentralRecord> {
  if (end.size === 0) return
  let position = end.offset
  let pending: Buffer = Buffer.alloc(0)
  const range = { start: end.offset, end: end.offset + end.size - 1 }
  for await (const chunk of await blobs.open(id, range)) {
    pending = Buffer.concat([pending, chunk])
    for (let length = centralLength(pending); length !== null; length = centralLength(pending)) {
      yield { member: centralMember(pending.subarray(0, length)), position }
      pending = pending.subarray(length)
      position += length
    }
  }
  if (pending.length > 0) throw invalidArchive('the central directory is invalid')
}

async function validateRecords(records: AsyncGenerator<CentralRecord>, end: ZipEnd) {
  const positions = new Map<number, number>()
  let packedBytes = 0
  for await (const { member, position } of records) {
    const key = keyOf(member.name)
    if (positions.has(key)) throw invalidArchive(`${JSON.stringify(member.name)} occurs twice`)
    positions.set(key, position)
    assertNoBomb(member)
    packedBytes += member.compressedSize + 30 + member.nameLength
    if (positions.size > MAX_MEMBERS) throw tooManyMembers(positions.size)
  }
  if (positions.size !== end.count)
    throw invalidArchive(
      `the central directory has ${positions.size} members, but the end record says ${end.count}`,
    )
  // If members share bytes, their total exceeds the bytes before the central directory.
  if (packedBytes > end.offset) throw invalidArchive('members overlap')
  return { positions, count: positions.size }
}

function assertNoBomb({ name, size, compressedSize }: ZipMember) {
  if (size > SMALL_BYTES && size > MAX_COMPRESSION_RATIO * compressedSize)
    throw invalidArchive(
      `${JSON.stringify(name)} unpacks to more than ${MAX_COMPRESSION_RATIO} times its size`,
    )
}

/**
 * Returns 52 bits of a hash, so that a name of any length takes one number. A hash collision is reported as a
 * duplicate name.
 */
const keyOf = (name: string) =>
  Number.parseInt(createHash('sha256').update(name).digest('hex').slice(0, 13), 16)

type ReadContext = { read: (offset: number, length: number) => Promise<Buffer>; end: ZipEnd }

async function openCompressed(
  blobs: BlobStore,
  id: string,
  member: ZipMember,
  { read, end }: ReadContext,
) {
  const { offset, compressedSize, method } = member
  const head = await read(offset, 30)
  if (head.length < 30 || head.readUInt32LE(0) !== 0x04034b50 || head.readUInt16LE(8) !== method)
    throw invalidArchive(`${JSON.stringify(member.name)} has no local header at its offset`)
  const start = offset + 30 + head.readUInt16LE(26) + head.readUInt16LE(28)
  if (start + compressedSize > end.offset)
    throw invalidArchive(`${JSON.stringify(member.name)} is truncated`)
  return compressedSize === 0 ? null : blobs.open(id, { start, end: start + compressedSize - 1 })
}

/**
 * Yields the decompressed bytes. Stops at the first excess byte, so that no more is decompressed than the
 * record announces.
 */
async function* decompress(
  { name, method, size, crc: announced }: ZipMember,
  open: () => Promise<Readable | null>,
): AsyncGenerator<Buffer> {
  const bytes = await open()
  let length = 0
  let crc = 0
  try {
    for await (const chunk of bytes === null ? [] : method === 8 ? inflate(bytes) : bytes) {
      length += chunk.length
      if (length > size) break
      crc = crc32(chunk, crc)
      yield chunk
    }
  } catch (cause) {
    throw (cause as NodeJS.ErrnoException).code?.startsWith('Z_')
      ? invalidArchive(`${JSON.stringify(name)} cannot be decompressed`)
      : cause
  }
  if (length !== size || crc !== announced)
    throw invalidArchive(`the bytes of ${JSON.stringify(name)} do not match its size and CRC`)
}

function inflate(bytes: Readable): Readable {
  const inflate = createInflateRaw()
  bytes.once('error', (error) => inflate.destroy(error))
  inflate.once('close', () => bytes.destroy())
  return bytes.pipe(inflate)
}
