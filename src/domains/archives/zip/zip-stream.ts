import { crc32 } from 'node:zlib'
import type { ServiceContext } from '../../../context.ts'
import type { ArchivePlan, Planned } from '../plan.ts'
import { crcsOf, saveCrcs } from './crcs.ts'
import {
  centralHeader,
  centralSize,
  descriptor,
  descriptorSize,
  endRecords,
  localHeader,
  localSize,
  memberSize,
} from './zip-writer.ts'

type Range = { start: number; end: number }
type StreamState = {
  ctx: ServiceContext
  plan: ArchivePlan
  range: Range
  computedCrcs: Map<string, number>
}

const BATCH_SIZE = 500
const CHUNK_BYTES = 64 * 1024

/**
 * Yields the bytes `start` to `end` (inclusive) of a planned archive. A plan always yields the same bytes.
 * Files before the range are not read. The CRC of a member is computed while its bytes are streamed, then
 * stored and reused.
 */
export function zipStream(ctx: ServiceContext, plan: ArchivePlan, range: Range) {
  return inChunks(records({ ctx, plan, range, computedCrcs: new Map() }))
}

async function* records(stream: StreamState): AsyncGenerator<Buffer> {
  const { ctx, plan, range, computedCrcs } = stream
  try {
    let at = 0
    for await (const member of plan.members()) {
      if (at > range.end) return
      yield* memberBytes(stream, member, at)
      at += memberSize(member)
      if (computedCrcs.size >= BATCH_SIZE) await flushCrcs(stream)
    }
    yield* memberBytes(stream, plan.manifest, at)
    if (plan.central.offset + plan.central.size - 1 >= range.start) {
      await flushCrcs(stream)
      yield* centralBytes(stream)
    }
    yield* sliceToRange(range, plan.central.offset + plan.central.size, endRecords(plan.central))
  } finally {
    await saveCrcs(ctx.db, rowsOf(computedCrcs)).catch(() => {})
  }
}

/** Yields the part of the record at offset `at` that lies in the range. */
function* sliceToRange({ start, end }: Range, at: number, record: Buffer): Generator<Buffer> {
  const part = record.subarray(Math.max(0, start - at), Math.max(0, end - at + 1))
  if (part.length > 0) yield part
}

async function* memberBytes(
  stream: StreamState,
  member: Planned,
  at: number,
): AsyncGenerator<Buffer> {
  const { range } = stream
  if (at + memberSize(member) <= range.start) return
  yield* sliceToRange(range, at, localHeader(member))
  const bytesAt = at + localSize(member)
  yield* contentBytes(stream, member, bytesAt)
  const descriptorAt = bytesAt + member.size
  if (descriptorSize(member) === 0 || descriptorAt > range.end) return
  yield* sliceToRange(range, descriptorAt, descriptor(member, await crcOf(stream, member)))
}

async function* contentBytes(
  { ctx, plan, range, computedCrcs }: StreamState,
  member: Planned,
  at: number,
): AsyncGenerator<Buffer> {
  const start = Math.max(0, range.start - at)
  const end = Math.min(member.size, range.end - at + 1) - 1
  if (start > end) return
  const part = { start, end }
  if (member.blobId === null) return yield* plan.openManifest(part)
  const isWhole = start === 0 && end === member.size - 1 && !computedCrcs.has(member.blobId)
  let crc = 0
  for await (const chunk of await ctx.blobs.open(member.blobId, part)) {
    if (isWhole) crc = crc32(chunk, crc)
    yield chunk
  }
  if (isWhole) computedCrcs.set(member.blobId, crc)
}

async function crcOf(
  { ctx, computedCrcs }: StreamState,
  { blobId, crc }: Planned,
): Promise<number> {
  if (blobId === null) return crc ?? 0
  return computedCrcs.get(blobId) ?? (await crcsOf(ctx, [blobId])).get(blobId) ?? 0
}

/** Yields the part of the central directory that lies in the range, in a second pass over the members. */
async function* centralBytes(stream: StreamState): AsyncGenerator<Buffer> {
  const { ctx, plan, range } = stream
  let at = plan.central.offset
  let offset = 0
  for await (const batch of batches(plan)) {
    const ids = batch.flatMap(({ blobId, size }) => (blobId && size > 0 ? [blobId] : []))
    const length = centralSizeOf(batch, offset)
    const crcs = at + length <= range.start ? null : await crcsOf(ctx, ids)
    if (!crcs) [at, offset] = [at + length, offset + memberSizesOf(batch)]
    for (const member of crcs ? batch : []) {
      if (at > range.end) return
      const crc = member.crc ?? crcs?.get(member.blobId ?? '') ?? 0
      yield* sliceToRange(range, at, centralHeader(member, offset, member.size === 0 ? 0 : crc))
      at += centralSize(member, offset)
      offset += memberSize(member)
    }
  }
}

async function* batches(plan: ArchivePlan): AsyncGenerator<Planned[]> {
  let batch: Planned[] = []
  for await (const member of plan.members()) {
    batch.push(member)
    if (batch.length < BATCH_SIZE) continue
    yield batch
    batch = []
  }
  yield [...batch, plan.manifest]
}

const memberSizesOf = (batch: Planned[]) =>
  batch.reduce((sum, member) => sum + memberSize(member), 0)

function centralSizeOf(batch: Planned[], offset: number): number {
  let [length, position] = [0, offset]
  for (const member of batch) {
    length += centralSize(member, position)
    position += memberSize(member)
  }
  return length
}

async function flushCrcs({ ctx, computedCrcs }: StreamState) {
  await saveCrcs(ctx.db, rowsOf(computedCrcs))
  computedCrcs.clear()
}

const rowsOf = (computedCrcs: Map<string, number>) =>
  [...computedCrcs].map(([blobId, crc]) => ({ blobId, crc32: crc }))

/** Combines small headers into larger chunks. */
async function* inChunks(records: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let pending: Buffer[] = []
  let length = 0
  for await (const record of records) {
    pending.push(record)
    length += record.length
    if (length < CHUNK_BYTES) continue
    yield pending.length === 1 ? record : Buffer.concat(pending)
    pending = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(pending)
}
