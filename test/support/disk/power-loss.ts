import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import {
  act,
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  trashEntries,
  type UploadHandle,
} from '../client.ts'
import { tusOf, until } from '../network/tus.ts'
import type { TestServer } from '../servers/test-server.ts'
import type { Call } from './strace.ts'
import { answerTo, openAfterPowerLoss, openTraced } from './traced.ts'
import { afterPowerLoss, type Disk, type Luck, noLuck } from './traced-disk.ts'

/** An upload, and the ids of the requests whose responses promised durability. */
type Sent = {
  upload: UploadHandle
  bytes: Buffer
  created: string
  /** Each with the offset that it confirmed. */
  patched: { by: string; offset: number }[]
  confirmed?: { by: string; fileId: string }
  /** The last request before the file was deleted. */
  keptUntil?: string
}
export type Recording = { calls: Call[]; place: string; sent: Sent[]; first: number }

/**
 * Traces a server that receives a file in two PATCHes, an upload that stays unfinished, a second file with
 * the bytes of the first, and a file that is purged with its bytes.
 */
export async function recordUploads(sizes: { first: number; cut: number }): Promise<Recording> {
  await using traced = await openTraced()
  const { holdall, lastRequestId, place } = traced
  const { id: workspaceId } = await createWorkspace(holdall)
  const firstAnswer = lastRequestId()
  const sent: Sent[] = []

  async function send(name: string, bytes: Buffer, ...ends: number[]): Promise<Sent> {
    const made = await createUpload(holdall, { workspaceId, name, size: bytes.length })
    const upload = { ...made, url: new URL(made.url).pathname }
    const one: Sent = { upload, bytes, created: lastRequestId(), patched: [] }
    sent.push(one)
    let at = 0
    for (const end of ends) {
      at = await sendBytes(holdall, upload, bytes.subarray(at, end), at)
      one.patched.push({ by: lastRequestId(), offset: at })
    }
    return one
  }
  async function confirm(one: Sent) {
    const { id } = await confirmUpload(holdall, { uploadId: one.upload.id })
    one.confirmed = { by: lastRequestId(), fileId: id }
    return id
  }

  const bytes = patterned(sizes.first)
  const first = await send('first.bin', bytes, sizes.cut, bytes.length)
  const unfinished = patterned(sizes.first + 1)
  await send('unfinished.bin', unfinished, sizes.cut)
  await confirm(first)
  await confirm(await send('twin.bin', bytes, bytes.length))
  const doomed = await send('doomed.bin', patterned(sizes.cut + 1), sizes.cut + 1)
  const id = await confirm(doomed)
  doomed.keptUntil = lastRequestId()
  await trashEntries(holdall, { id })
  await act(holdall, 'purgeEntries', { entries: [{ entry: { id: id } }] }, 'freedBytes')
  const blobs = join(place, 'new/data/blobs')
  await until(async () => !(await readdir(blobs, { recursive: true })).some(belongsTo(doomed)))
  const calls = await traced.stop()
  return { calls, place, sent, first: answerTo(calls, firstAnswer).begun }
}

const belongsTo =
  ({ upload }: Sent) =>
  (path: string) =>
    path.endsWith(upload.id)

/** Returns bytes in which no two blocks are equal. */
const patterned = (length: number) => {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += 32)
    createHash('sha256').update(`${length} ${at}`).digest().copy(bytes, at)
  return bytes
}

/**
 * Returns the lines of the trace at which the power fails: where most changes are unsynced, and right
 * after each promise.
 */
export function powerLossMoments({ calls, place, sent }: Recording): number[] {
  const inPlace = ({ path, strings: [first] }: Call) =>
    path.startsWith(place) || `${first}`.startsWith(place)
  const steps = calls.filter((call) => inPlace(call) && /sync|rename|unlink/.test(call.name))
  const around = steps.flatMap(({ begun, ended }) => [begun - 1, ended])
  const answers = sent.flatMap(({ created, patched, confirmed }) =>
    [created, ...patched.map(({ by }) => by), ...(confirmed ? [confirmed.by] : [])].map(
      (id) => answerTo(calls, id).begun,
    ),
  )
  return [...new Set([...around, ...answers])].sort((a, b) => a - b)
}

/** Keeps a pseudo-random half of the changes that were not synced. */
export const randomLuck =
  (seed: number): Luck =>
  (at) =>
    ((createHash('sha256').update(`${seed} ${at}`).digest()[0] ?? 0) & 1) === 1

/**
 * Simulates a loss of power at line `moment`: a server that starts with the remaining data must have
 * everything that was promised by then, and continue.
 */
export async function checkAfterPowerLoss(recording: Recording, moment: number, luck = noLuck) {
  const { calls, place, sent } = recording
  const disk = afterPowerLoss(calls, place, moment, luck)
  const wasSent = (id: string) => answerTo(calls, id).begun <= moment
  await using survivor = await openAfterPowerLoss(disk, place)
  const found = await survivor.fsck()
  expect(found.filter((finding) => !('repaired' in finding && finding.repaired))).toEqual([])
  for (const one of sent) {
    if (one.keptUntil && wasSent(one.keptUntil)) continue
    if (one.confirmed && wasSent(one.confirmed.by)) {
      expect((await download(survivor.holdall, one.confirmed.fileId)).equals(one.bytes)).toBe(true)
    } else if (wasSent(one.created)) await resumeUpload(survivor.holdall, one, disk, wasSent)
  }
  expect(await survivor.fsck()).toEqual([])
  return found
}

/** Expects that an upload without a file reports its offset and can be completed. */
async function resumeUpload(
  holdall: TestServer,
  { upload, bytes, patched }: Sent,
  disk: Disk,
  wasSent: (id: string) => boolean,
) {
  const confirmedOffset = Math.max(
    0,
    ...patched.filter(({ by }) => wasSent(by)).map(({ offset }) => offset),
  )
  const offset = await tusOf(holdall).offset(upload.url)
  expect(offset).toBeGreaterThanOrEqual(confirmedOffset)
  const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { status } } }'
  const { status } = (await holdall.ask(query, { id: upload.id })).node
  const [, durable] = [...disk].find(([path]) => path.endsWith(upload.id)) ?? []
  if (status !== 'COMPLETE') expect(durable?.length ?? 0).toBeGreaterThanOrEqual(offset)
  if (offset < bytes.length) await sendBytes(holdall, upload, bytes.subarray(offset), offset)
  const { id } = await confirmUpload(holdall, { uploadId: upload.id })
  expect((await download(holdall, id)).equals(bytes)).toBe(true)
}
