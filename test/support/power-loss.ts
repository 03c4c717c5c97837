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
} from './client.ts'
import type { Call } from './strace.ts'
import type { TestServer } from './test-server.ts'
import { answerTo, openSurvivor, openTraced } from './traced.ts'
import { afterPowerLoss, type Disk, type Luck, noLuck } from './traced-disk.ts'
import { tusOf, until } from './tus.ts'

/** What was sent, and the ids of the requests whose answers promised something. */
type Sent = {
  upload: UploadHandle
  bytes: Buffer
  created: string
  /** Each with the offset that it said. */
  patched: { by: string; offset: number }[]
  confirmed?: { by: string; fileId: string }
  /** The last request before it was thrown away. */
  keptUntil?: string
}
export type Recording = { calls: Call[]; place: string; sent: Sent[]; first: number }

/**
 * A day in the life of a house, traced: a file in two PATCHes, another that stays unfinished, one more with the bytes of the first, and
 * one that is purged with its bytes.
 */
export async function recordUploads(sizes: { first: number; cut: number }): Promise<Recording> {
  await using traced = await openTraced()
  const { holdall, lastAsked, place } = traced
  const { id: workspaceId } = await createWorkspace(holdall)
  const firstAnswer = lastAsked()
  const sent: Sent[] = []

  async function send(name: string, bytes: Buffer, ...ends: number[]): Promise<Sent> {
    const made = await createUpload(holdall, { workspaceId, name, size: bytes.length })
    const upload = { ...made, url: new URL(made.url).pathname }
    const one: Sent = { upload, bytes, created: lastAsked(), patched: [] }
    sent.push(one)
    let at = 0
    for (const end of ends) {
      at = await sendBytes(holdall, upload, bytes.subarray(at, end), at)
      one.patched.push({ by: lastAsked(), offset: at })
    }
    return one
  }
  async function confirm(one: Sent) {
    const { id } = await confirmUpload(holdall, { uploadId: one.upload.id })
    one.confirmed = { by: lastAsked(), fileId: id }
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
  doomed.keptUntil = lastAsked()
  await trashEntries(holdall, { id })
  await act(holdall, 'purgeEntries', { entryIds: [id] }, 'freedBytes')
  const blobs = join(place, 'new/data/blobs')
  await until(async () => !(await readdir(blobs, { recursive: true })).some(isOf(doomed)))
  const calls = await traced.stop()
  return { calls, place, sent, first: answerTo(calls, firstAnswer).begun }
}

const isOf =
  ({ upload }: Sent) =>
  (path: string) =>
    path.endsWith(upload.id)

/** Bytes no two pieces of which are the same. */
const patterned = (length: number) => {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += 32)
    createHash('sha256').update(`${length} ${at}`).digest().copy(bytes, at)
  return bytes
}

/** Lines of the trace at which the power may go: where most is unsynced, and where something was just promised. */
export function momentsOf({ calls, place, sent }: Recording): number[] {
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

/** Some of what was not synced is there all the same, by the throw of a coin. */
export const coins =
  (seed: number): Luck =>
  (at) =>
    ((createHash('sha256').update(`${seed} ${at}`).digest()[0] ?? 0) & 1) === 1

/** The power goes at line `moment`: all that was promised by then is there in the house that is opened on the rest, and goes on. */
export async function loseAndLook(recording: Recording, moment: number, luck = noLuck) {
  const { calls, place, sent } = recording
  const disk = afterPowerLoss(calls, place, moment, luck)
  const isSaid = (id: string) => answerTo(calls, id).begun <= moment
  await using survivor = await openSurvivor(disk, place)
  const told = await survivor.fsck()
  expect(told.filter((finding) => !('mended' in finding && finding.mended))).toEqual([])
  for (const one of sent) {
    if (one.keptUntil && isSaid(one.keptUntil)) continue
    if (one.confirmed && isSaid(one.confirmed.by)) {
      expect((await download(survivor.holdall, one.confirmed.fileId)).equals(one.bytes)).toBe(true)
    } else if (isSaid(one.created)) await goOn(survivor.holdall, one, disk, isSaid)
  }
  expect(await survivor.fsck()).toEqual([])
  return told
}

/** An upload without a file says what it has, and becomes one. */
async function goOn(
  holdall: TestServer,
  { upload, bytes, patched }: Sent,
  disk: Disk,
  isSaid: (id: string) => boolean,
) {
  const said = Math.max(0, ...patched.filter(({ by }) => isSaid(by)).map(({ offset }) => offset))
  const offset = await tusOf(holdall).offset(upload.url)
  expect(offset).toBeGreaterThanOrEqual(said)
  const query = 'query ($id: ID!) { node(id: $id) { ... on Upload { status } } }'
  const { status } = (await holdall.ask(query, { id: upload.id })).node
  const [, durable] = [...disk].find(([path]) => path.endsWith(upload.id)) ?? []
  if (status !== 'COMPLETE') expect(durable?.length ?? 0).toBeGreaterThanOrEqual(offset)
  if (offset < bytes.length) await sendBytes(holdall, upload, bytes.subarray(offset), offset)
  const { id } = await confirmUpload(holdall, { uploadId: upload.id })
  expect((await download(holdall, id)).equals(bytes)).toBe(true)
}
