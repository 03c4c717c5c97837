import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { act, createWorkspace } from '../client.ts'
import type { TestServer } from '../test-server.ts'
import type { Answer } from './clients.ts'
import type { Faulty } from './faulty.ts'
import { type Armed, type Fault, isKill } from './kinds.ts'
import type { Operation } from './operations.ts'
import { atOnce, type View, viewOf, withoutReservations } from './view.ts'

/** What an operation makes of its workspace where nothing stands in its way: before, after, and when the client is through. */
export type Course = { operation: Operation; before: View; after: View; finished: View | null }

type Subject = Awaited<ReturnType<typeof prepare>>

/** Codes by which a client is told that it is not to blame, and may come again. */
const faults = ['STORAGE_ERROR', 'UNAVAILABLE', 'LOCKED', 'HTTP 423', 'CUT']
const passing: Fault[] = ['SLOW_DOWN', 'INTERNAL_ERROR']
const statuses = [200, 423, 500, 503, 507]
const secrets = /holdall-|blobs\/|sqlite|select |insert |errno|\/tmp|database is|E(IO|NOSPC|MFILE)/i
/** Longer than the house takes to begin with what it does without being asked. */
const MORE_MS = 120
/** What is swept in its own time, or tried once more after a pause, has come to its end by then. */
const PATIENCE_MS = 10_000

/** Does it once, with no fault; the tree must be the one that the operation says. */
export async function courseOf(faulty: Faulty, operation: Operation): Promise<Course> {
  const { holdall } = faulty
  const subject = await prepare(faulty, operation)
  const before = await viewOf(holdall, subject.workspaceId)
  requireDone(await operation.act(holdall, subject))
  const after = await viewOf(holdall, subject.workspaceId)
  assert.deepEqual(Object.keys(after.entries).sort(), [...operation.paths].sort())
  return { operation, before, after, finished: await finish(faulty, operation, subject) }
}

/**
 * Does it with what is armed, and again without, as a client would: fully or not at all, and then fully; what `heals` the first time
 * already. Whether anything was struck.
 */
export async function tryOnce(
  faulty: Faulty,
  course: Course,
  armed: Armed,
  heals = false,
): Promise<boolean> {
  const { operation } = course
  const subject = await prepare(faulty, operation)
  await faulty.arm({ ...armed, everywhere: operation.everywhere === true })
  const answer = await operation.act(faulty.holdall, subject)
  if (operation.everywhere) await sleep(MORE_MS)
  const look = async () =>
    fullyOrNot(course, await viewOf(faulty.holdall, subject.workspaceId), answer)
  // A disk that is full keeps nobody from reading; a reservation is cancelled when rows can be written again.
  if (armed.forGood)
    fullyOrNot(course, await viewUnreserved(faulty.holdall, subject, operation), answer)
  const tally = await faulty.arm(null)
  if (tally?.struck.length === 0) {
    requireDone(answer)
    await finish(faulty, operation, subject)
    return false
  }
  assert.equal(tally === null, isKill(armed.fault), 'it lives on where it was not killed')
  if (!tally) await faulty.start()
  if (operation.reserves) await cancelReservations(faulty.holdall, subject.workspaceId)
  isWellTold(answer, tally === null, armed)
  if (heals) requireDone(answer)
  await again(faulty, course, { subject, wasDone: await look() })
  return true
}

async function viewUnreserved(
  holdall: TestServer,
  { workspaceId }: Subject,
  { reserves }: Operation,
) {
  const seen = await viewOf(holdall, workspaceId)
  return reserves ? withoutReservations(seen) : seen
}

/** What was reserved for an import that was cut off is an upload of its maker, who can cancel it before it expires. */
async function cancelReservations(holdall: TestServer, workspaceId: string) {
  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    uploads(status: [CREATED]) { nodes { id transport } } } }`
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  for (const { id, transport } of workspace.uploads.nodes)
    if (transport === 'FORM') await act(holdall, 'cancelUpload', { uploadId: id }, '__typename')
}

async function prepare({ holdall }: Faulty, operation: Operation) {
  const { id: workspaceId } = await createWorkspace(holdall)
  return { more: null, ...(await operation.prepare(holdall, workspaceId)), workspaceId }
}

async function finish(
  { holdall }: Faulty,
  { finish }: Operation,
  subject: Subject,
): Promise<View | null> {
  if (!finish) return null
  requireDone(await finish(holdall, subject))
  return viewOf(holdall, subject.workspaceId)
}

function requireDone({ code, text }: Answer) {
  assert.equal(code, null, text)
}

function isWellTold({ code, status, text }: Answer, isDead: boolean, { fault }: Armed) {
  if (code === null || (isDead && code === 'GONE')) return
  assert.ok(faults.includes(code) && statuses.includes(status), `${status} ${code}: ${text}`)
  assert.doesNotMatch(text, secrets)
  // What is over in a moment is 503, by the doors that have statuses.
  if (passing.includes(fault)) assert.ok(status === 200 || status === 503, `${status} ${code}`)
  // RFC 4918, 11.5: there is no room.
  if (fault === 'ENOSPC') assert.ok(status === 200 || status === 507, `${status} ${code}`)
}

/** Nobody sees a half; and what was answered is so. An upload grows. Whether it is done. */
function fullyOrNot({ operation, before, after }: Course, seen: View, { code }: Answer): boolean {
  const [upload] = seen.uploads
  const isOn = upload && (upload.offset < upload.size || after.uploads.length === 0)
  if (operation.grows && isOn && code !== null) assert.deepEqual(seen.entries, before.entries)
  else if (code === null || !same(atOnce(seen), atOnce(before)))
    assert.deepEqual(atOnce(seen), atOnce(after))
  return same(atOnce(seen), atOnce(after))
}

type Done = { subject: Subject; wasDone: boolean }

async function again(faulty: Faulty, course: Course, { subject, wasDone }: Done) {
  const { operation, after, finished } = course
  const { code, text } = await operation.act(faulty.holdall, subject)
  assert.ok(code === null || (wasDone && code === operation.already), `again: ${text}`)
  let seen = await viewOf(faulty.holdall, subject.workspaceId)
  const end = performance.now() + PATIENCE_MS
  while (!same(seen, after) && performance.now() < end) {
    await sleep(20)
    seen = await viewOf(faulty.holdall, subject.workspaceId)
  }
  assert.deepEqual(seen, after)
  assert.deepEqual(await finish(faulty, operation, subject), finished)
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
