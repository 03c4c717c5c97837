import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { crc32, createInflateRaw } from 'node:zlib'
import type { BlobStore } from '../../blobs/blob-store.ts'
import {
  centralLength,
  centralMember,
  invalidArchive,
  type ZipEnd,
  type ZipMember,
  zipEnd,
} from './zip-records.ts'

/** An archive that was looked through from the first to the last of its records. */
export type Zip = {
  count: number
  members: () => AsyncGenerator<ZipMember>
  find: (name: string) => Promise<ZipMember | null>
  /** The bytes of a member, unpacked and checked: the stream fails where they are not what the record says. */
  open: (member: ZipMember) => AsyncGenerator<Buffer>
}
type Blob = { id: string; size: number }

const MOST_MEMBERS = 1_000_000
const LARGEST_CENTRAL_BYTES = 512 * 1024 * 1024
/** No honest file packs better, once it is of any size: such a one is there to burst. */
const MOST_RATIO = 200
const SMALL_BYTES = 10 * 1024 * 1024
const LONGEST_ENDING = 65_557 + 20

/**
 * Reads the central directory of a ZIP file and throws InvalidInput for whatever is not taken: traversal, links, encryption,
 * twins, overlaps, bombs, too many members. Keeps two numbers for each member in memory.
 */
export async function openZip(blobs: BlobStore, { id, size }: Blob): Promise<Zip> {
  const read = async (offset: number, length: number) =>
    offset >= size ? Buffer.alloc(0) : gather(await blobs.open(id, span(offset, length, size)))
  const tailAt = Math.max(0, size - LONGEST_ENDING)
  const end = await zipEnd(size === 0 ? Buffer.alloc(0) : await read(tailAt, LONGEST_ENDING), read)
  if (end.count > MOST_MEMBERS) throw invalidArchive(`at most ${MOST_MEMBERS} entries`)
  if (end.size > LARGEST_CENTRAL_BYTES || end.offset + end.size > size)
    throw invalidArchive('the central directory is not where it should be')
  const records = () => centralRecords(blobs, id, end)
  const { places, count } = await survey(records(), end)
  return {
    count,
    async *members() {
      for await (const { member } of records()) yield member
    },
    async find(name) {
      const place = places.get(keyOf(name))
      if (place === undefined) return null
      const member = centralMember(await recordAt(read, place))
      return member.name === name ? member : null
    },
    open: (member) => unpacked(member, () => packed(blobs, id, member, { read, end })),
  }
}

/** Few records are longer than a page of memory. */
async function recordAt(read: Around['read'], place: number): Promise<Buffer> {
  const record = await read(place, 4096)
  return centralLength(record) === null ? read(place, 46 + 3 * 65_535) : record
}

const span = (start: number, length: number, size: number) => ({
  start,
  end: Math.min(start + length, size) - 1,
})

async function gather(bytes: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

type Found = { member: ZipMember; place: number }

async function* centralRecords(blobs: BlobStore, id: string, end: ZipEnd): AsyncGenerator<Found> {
  if (end.size === 0) return
  let place = end.offset
  let waiting: Buffer = Buffer.alloc(0)
  const range = { start: end.offset, end: end.offset + end.size - 1 }
  for await (const chunk of await blobs.open(id, range)) {
    waiting = Buffer.concat([waiting, chunk])
    for (let length = centralLength(waiting); length !== null; length = centralLength(waiting)) {
      yield { member: centralMember(waiting.subarray(0, length)), place }
      waiting = waiting.subarray(length)
      place += length
    }
  }
  if (waiting.length > 0) throw invalidArchive('the central directory is broken')
}

async function survey(records: AsyncGenerator<Found>, end: ZipEnd) {
  const places = new Map<number, number>()
  let packedBytes = 0
  for await (const { member, place } of records) {
    const key = keyOf(member.name)
    if (places.has(key)) throw invalidArchive(`${JSON.stringify(member.name)} is there twice`)
    places.set(key, place)
    refuseBomb(member)
    packedBytes += member.compressedSize + 30 + member.nameLength
    if (places.size > MOST_MEMBERS) throw invalidArchive(`at most ${MOST_MEMBERS} entries`)
  }
  if (places.size !== end.count)
    throw invalidArchive('the central directory does not hold what it says')
  // Members that share their bytes come to more than there are.
  if (packedBytes > end.offset) throw invalidArchive('members lie one over the other')
  return { places, count: places.size }
}

function refuseBomb({ name, size, compressedSize }: ZipMember) {
  if (size > SMALL_BYTES && size > MOST_RATIO * compressedSize)
    throw invalidArchive(
      `${JSON.stringify(name)} unpacks to more than ${MOST_RATIO} times its size`,
    )
}

/** 52 bits of a hash: a name costs a number, however long it is. Twins by chance are taken for twins. */
const keyOf = (name: string) =>
  Number.parseInt(createHash('sha256').update(name).digest('hex').slice(0, 13), 16)

type Around = { read: (offset: number, length: number) => Promise<Buffer>; end: ZipEnd }

async function packed(blobs: BlobStore, id: string, member: ZipMember, { read, end }: Around) {
  const { offset, compressedSize, method } = member
  const head = await read(offset, 30)
  if (head.length < 30 || head.readUInt32LE(0) !== 0x04034b50 || head.readUInt16LE(8) !== method)
    throw invalidArchive(`${JSON.stringify(member.name)} is not where it should be`)
  const start = offset + 30 + head.readUInt16LE(26) + head.readUInt16LE(28)
  if (start + compressedSize > end.offset)
    throw invalidArchive(`${JSON.stringify(member.name)} is cut off`)
  return compressedSize === 0 ? null : blobs.open(id, { start, end: start + compressedSize - 1 })
}

/** Stops at the first byte too many, so that no more is unpacked than was announced. */
async function* unpacked(
  { name, method, size, crc: announced }: ZipMember,
  open: () => Promise<Readable | null>,
): AsyncGenerator<Buffer> {
  const bytes = await open()
  let length = 0
  let crc = 0
  try {
    for await (const chunk of bytes === null ? [] : method === 8 ? inflated(bytes) : bytes) {
      length += chunk.length
      if (length > size) break
      crc = crc32(chunk, crc)
      yield chunk
    }
  } catch (cause) {
    throw (cause as NodeJS.ErrnoException).code?.startsWith('Z_')
      ? invalidArchive(`${JSON.stringify(name)} cannot be unpacked`)
      : cause
  }
  if (length !== size || crc !== announced)
    throw invalidArchive(`the bytes of ${JSON.stringify(name)} are not what its record says`)
}

function inflated(bytes: Readable): Readable {
  const inflate = createInflateRaw()
  bytes.once('error', (error) => inflate.destroy(error))
  inflate.once('close', () => bytes.destroy())
  return bytes.pipe(inflate)
}
