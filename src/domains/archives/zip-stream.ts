import { crc32 } from 'node:zlib'
import type { ServiceContext } from '../../context.ts'
import { crcsOf, rememberCrcs } from './crcs.ts'
import type { ArchivePlan, Planned } from './plan.ts'
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
type Streaming = {
  ctx: ServiceContext
  plan: ArchivePlan
  range: Range
  learnt: Map<string, number>
}

const AT_ONCE = 500
const CHUNK_BYTES = 64 * 1024

/**
 * Bytes `start` to `end` (both included) of a planned archive, always the same for the same plan. What lies before the range is
 * not read; the CRC of a member is computed while its bytes pass, remembered, and never computed again.
 */
export function zipStream(ctx: ServiceContext, plan: ArchivePlan, range: Range) {
  return inChunks(records({ ctx, plan, range, learnt: new Map() }))
}

async function* records(stream: Streaming): AsyncGenerator<Buffer> {
  const { ctx, plan, range, learnt } = stream
  try {
    let at = 0
    for await (const member of plan.members()) {
      if (at > range.end) return
      yield* memberBytes(stream, member, at)
      at += memberSize(member)
      if (learnt.size >= AT_ONCE) await remember(stream)
    }
    yield* memberBytes(stream, plan.manifest, at)
    if (plan.central.offset + plan.central.size - 1 >= range.start) {
      await remember(stream)
      yield* centralBytes(stream)
    }
    yield* within(range, plan.central.offset + plan.central.size, endRecords(plan.central))
  } finally {
    await rememberCrcs(ctx.db, rowsOf(learnt)).catch(() => {})
  }
}

/** What of a record that stands at `at` lies in the range. */
function* within({ start, end }: Range, at: number, record: Buffer): Generator<Buffer> {
  const part = record.subarray(Math.max(0, start - at), Math.max(0, end - at + 1))
  if (part.length > 0) yield part
}

async function* memberBytes(
  stream: Streaming,
  member: Planned,
  at: number,
): AsyncGenerator<Buffer> {
  const { range } = stream
  if (at + memberSize(member) <= range.start) return
  yield* within(range, at, localHeader(member))
  const bytesAt = at + localSize(member)
  yield* contentBytes(stream, member, bytesAt)
  const descriptorAt = bytesAt + member.size
  if (descriptorSize(member) === 0 || descriptorAt > range.end) return
  yield* within(range, descriptorAt, descriptor(member, await crcOf(stream, member)))
}

async function* contentBytes(
  { ctx, plan, range, learnt }: Streaming,
  member: Planned,
  at: number,
): AsyncGenerator<Buffer> {
  const start = Math.max(0, range.start - at)
  const end = Math.min(member.size, range.end - at + 1) - 1
  if (start > end) return
  const part = { start, end }
  if (member.blobId === null) return yield* plan.openManifest(part)
  const whole = start === 0 && end === member.size - 1 && !learnt.has(member.blobId)
  let crc = 0
  for await (const chunk of await ctx.blobs.open(member.blobId, part)) {
    if (whole) crc = crc32(chunk, crc)
    yield chunk
  }
  if (whole) learnt.set(member.blobId, crc)
}

async function crcOf({ ctx, learnt }: Streaming, { blobId, crc }: Planned): Promise<number> {
  if (blobId === null) return crc ?? 0
  return learnt.get(blobId) ?? (await crcsOf(ctx, [blobId])).get(blobId) ?? 0
}

/** The second pass: one header for each member, with its CRC and its place. */
async function* centralBytes(stream: Streaming): AsyncGenerator<Buffer> {
  const { ctx, plan, range } = stream
  let at = plan.central.offset
  let offset = 0
  for await (const batch of batches(plan)) {
    const ids = batch.flatMap(({ blobId, size }) => (blobId && size > 0 ? [blobId] : []))
    const length = lengthOf(batch, offset)
    const crcs = at + length <= range.start ? null : await crcsOf(ctx, ids)
    if (!crcs) [at, offset] = [at + length, offset + sizesOf(batch)]
    for (const member of crcs ? batch : []) {
      if (at > range.end) return
      const crc = member.crc ?? crcs?.get(member.blobId ?? '') ?? 0
      yield* within(range, at, centralHeader(member, offset, member.size === 0 ? 0 : crc))
      at += centralSize(member, offset)
      offset += memberSize(member)
    }
  }
}

async function* batches(plan: ArchivePlan): AsyncGenerator<Planned[]> {
  let batch: Planned[] = []
  for await (const member of plan.members()) {
    batch.push(member)
    if (batch.length < AT_ONCE) continue
    yield batch
    batch = []
  }
  yield [...batch, plan.manifest]
}

const sizesOf = (batch: Planned[]) => batch.reduce((sum, member) => sum + memberSize(member), 0)

function lengthOf(batch: Planned[], offset: number): number {
  let [length, place] = [0, offset]
  for (const member of batch) {
    length += centralSize(member, place)
    place += memberSize(member)
  }
  return length
}

async function remember({ ctx, learnt }: Streaming) {
  await rememberCrcs(ctx.db, rowsOf(learnt))
  learnt.clear()
}

const rowsOf = (learnt: Map<string, number>) =>
  [...learnt].map(([blobId, crc]) => ({ blobId, crc32: crc }))

/** Headers are small: one write for many of them. */
async function* inChunks(records: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  let waiting: Buffer[] = []
  let length = 0
  for await (const record of records) {
    waiting.push(record)
    length += record.length
    if (length < CHUNK_BYTES) continue
    yield waiting.length === 1 ? record : Buffer.concat(waiting)
    waiting = []
    length = 0
  }
  if (length > 0) yield Buffer.concat(waiting)
}
