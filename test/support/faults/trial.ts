import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { act, createWorkspace } from '../client.ts'
import type { TestServer } from '../servers/test-server.ts'
import type { Answer } from './clients.ts'
import type { Faulty } from './faulty.ts'
import { type Armed, type Fault, isKill } from './kinds/kinds.ts'
import type { Operation } from './operations.ts'
import { type View, viewOf, withoutReservations, withoutStoredBytes } from './view.ts'

/**
 * The views of an operation without a fault: before it, after it, and after the client has finished.
 */
export type Baseline = { operation: Operation; before: View; after: View; finished: View | null }

type Subject = Awaited<ReturnType<typeof prepare>>

/** Error codes that say that the client may retry. */
const retryableCodes = ['STORAGE_ERROR', 'UNAVAILABLE', 'LOCKED', 'HTTP 423', 'CUT']
const retryableFaults: Fault[] = ['SLOW_DOWN', 'INTERNAL_ERROR']
const statuses = [200, 423, 500, 503, 507]
const secrets = /holdall-|blobs\/|sqlite|select |insert |errno|\/tmp|database is|E(IO|NOSPC|MFILE)/i
/** Longer than the server waits before background work begins. */
const BACKGROUND_WORK_MS = 120
/** Longer than the delay of sweeps and of retries. */
const SETTLE_TIMEOUT_MS = 10_000

/** Runs the operation without a fault and checks its tree. */
export async function baselineOf(faulty: Faulty, operation: Operation): Promise<Baseline> {
  const { holdall } = faulty
  const subject = await prepare(faulty, operation)
  const before = await viewOf(holdall, subject.workspaceId)
  requireDone(await operation.act(holdall, subject))
  const after = await viewOf(holdall, subject.workspaceId)
  assert.deepEqual(Object.keys(after.entries).sort(), [...operation.paths].sort())
  return { operation, before, after, finished: await finish(faulty, operation, subject) }
}

/**
 * Runs the operation with the armed fault, and retries it without, as a client does. The first run must have
 * its full effect or none, and the retry its full effect; with `recovers` the first run must succeed. Returns
 * whether a step was struck.
 */
export async function tryOnce(
  faulty: Faulty,
  baseline: Baseline,
  armed: Armed,
  recovers = false,
): Promise<boolean> {
  const { operation } = baseline
  const subject = await prepare(faulty, operation)
  await faulty.arm({ ...armed, everywhere: operation.everywhere === true })
  const answer = await operation.act(faulty.holdall, subject)
  if (operation.everywhere) await sleep(BACKGROUND_WORK_MS)
  const checkView = async () =>
    checkFullyOrNotAtAll(baseline, await viewOf(faulty.holdall, subject.workspaceId), answer)
  // A full disk must not prevent reads. A reservation can be cancelled once rows can be written again.
  if (armed.isPermanent)
    checkFullyOrNotAtAll(baseline, await viewUnreserved(faulty.holdall, subject, operation), answer)
  const tally = await faulty.arm(null)
  if (tally?.struck.length === 0) {
    requireDone(answer)
    await finish(faulty, operation, subject)
    return false
  }
  assert.equal(tally === null, isKill(armed.fault), 'the process dies exactly when it is killed')
  if (!tally) await faulty.start()
  if (operation.reserves) await cancelReservations(faulty.holdall, subject.workspaceId)
  checkAnswer(answer, tally === null, armed)
  if (recovers) requireDone(answer)
  await repeatOperation(faulty, baseline, { subject, wasDone: await checkView() })
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

/**
 * The reservation of an import that was interrupted is an upload of its creator, who can cancel it
 * before it expires.
 */
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

function checkAnswer({ code, status, text }: Answer, isDead: boolean, { fault }: Armed) {
  if (code === null || (isDead && code === 'GONE')) return
  assert.ok(
    retryableCodes.includes(code) && statuses.includes(status),
    `${status} ${code}: ${text}`,
  )
  assert.doesNotMatch(text, secrets)
  // Temporary errors are 503 if the endpoint returns statuses.
  if (retryableFaults.includes(fault))
    assert.ok(status === 200 || status === 503, `${status} ${code}`)
  // RFC 4918 §11.5: insufficient storage.
  if (fault === 'ENOSPC') assert.ok(status === 200 || status === 507, `${status} ${code}`)
}

/**
 * Checks that no partial result is visible and that the response matches the state; an upload may grow.
 * Returns whether the operation has taken effect.
 */
function checkFullyOrNotAtAll(
  { operation, before, after }: Baseline,
  seen: View,
  { code }: Answer,
): boolean {
  const [upload] = seen.uploads
  const isPending = upload && (upload.offset < upload.size || after.uploads.length === 0)
  if (operation.grows && isPending && code !== null) assert.deepEqual(seen.entries, before.entries)
  else if (code === null || !isEqual(withoutStoredBytes(seen), withoutStoredBytes(before)))
    assert.deepEqual(withoutStoredBytes(seen), withoutStoredBytes(after))
  return isEqual(withoutStoredBytes(seen), withoutStoredBytes(after))
}

type FirstAttempt = { subject: Subject; wasDone: boolean }

async function repeatOperation(
  faulty: Faulty,
  baseline: Baseline,
  { subject, wasDone }: FirstAttempt,
) {
  const { operation, after, finished } = baseline
  const { code, text } = await operation.act(faulty.holdall, subject)
  assert.ok(code === null || (wasDone && code === operation.already), `again: ${text}`)
  let seen = await viewOf(faulty.holdall, subject.workspaceId)
  const end = performance.now() + SETTLE_TIMEOUT_MS
  while (!isEqual(seen, after) && performance.now() < end) {
    await sleep(20)
    seen = await viewOf(faulty.holdall, subject.workspaceId)
  }
  assert.deepEqual(seen, after)
  assert.deepEqual(await finish(faulty, operation, subject), finished)
}

const isEqual = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)
