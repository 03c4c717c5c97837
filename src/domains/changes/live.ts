import type { ServiceContext } from '../../context.ts'
import { type Listening, listen, notifyOnCommit } from '../../database/notify.ts'
import { NotFound, Unauthenticated } from '../../errors.ts'
import { isAlive, tokensById } from '../accounts/reads.ts'
import type { SyncPosition } from '../activity/sync-cursor.ts'
import { recorded } from '../activity/writes.ts'
import { uploadById } from '../uploads/reads.ts'
import { isTerminal, statusAt, type UploadRow } from '../uploads/rules.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { type End, isEnd } from './events.ts'
import { type Batch, changesAfter, placeNow, placeOf } from './reads.ts'

/** So often a stream looks by itself: at its rights, and at what no event of the log tells. */
const TICK_MS = 500
/** An event brings at most so many changes. */
export const MAX_EVENT_CHANGES = 100

recorded.listen(async (tx, { event }) => notifyOnCommit(tx, event.workspaceId))

/**
 * What happened behind the cursor `since` (without one: from now on), then whatever happens, batch by batch. The first one comes
 * at once, be it empty. Where the viewer may no longer read, the last thing told is the End; Forbidden and, for a token that opens
 * nothing any more, Unauthenticated are thrown: within a second.
 */
export const followChanges = (ctx: ServiceContext, workspaceId: string, since?: string | null) =>
  stream((signal) => untilItsEnd(changes(ctx, workspaceId, since, signal)))

async function* untilItsEnd(batches: AsyncGenerator<Batch>): AsyncGenerator<Batch | End> {
  try {
    yield* batches
  } catch (error) {
    if (!isEnd(error)) throw error
    yield error
  }
}

async function* changes(
  ctx: ServiceContext,
  workspaceId: string,
  since: string | null | undefined,
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  // Listening begins before the first look: nothing falls in between.
  using ear = listen(workspaceId)
  let place: SyncPosition | null = null
  while (!signal.aborted) {
    await requireToken(ctx)
    const from: SyncPosition = place ?? (await startOf(ctx, workspaceId, since))
    const batch = await changesAfter(ctx, workspaceId, from, MAX_EVENT_CHANGES)
    if (!place || batch.changes.length > 0) yield batch
    place = batch.place
    if (!batch.hasMore) await ear.news(TICK_MS, signal)
  }
}

const startOf = async (
  ctx: ServiceContext,
  workspaceId: string,
  since: string | null | undefined,
) => (since == null ? placeNow(ctx, workspaceId) : placeOf(ctx, workspaceId, since))

/**
 * An upload as it is, then again whenever more bytes are safe or its status is another; ends after a status that nothing follows.
 * For members, as the list of uploads. Ends with NotFound, Forbidden, Unauthenticated as followChanges.
 */
export const followUpload = (ctx: ServiceContext, uploadId: string) =>
  stream((signal) => progress(ctx, uploadId, signal))

async function* progress(
  ctx: ServiceContext,
  uploadId: string,
  signal: AbortSignal,
): AsyncGenerator<UploadRow> {
  let ear: Listening | null = null
  try {
    for (let told = ''; !signal.aborted; ) {
      await requireToken(ctx)
      const upload = await requireUpload(ctx, uploadId)
      const status = statusAt(upload, ctx.now())
      ear ??= listen(upload.workspaceId)
      const news = JSON.stringify([status, upload.offset, upload.size, upload.failures])
      if (news !== told) yield upload
      if (isTerminal(status)) return
      told = news
      await ear.news(TICK_MS, signal)
    }
  } finally {
    ear?.[Symbol.dispose]()
  }
}

async function requireUpload({ db, viewer }: ServiceContext, id: string): Promise<UploadRow> {
  const upload = await uploadById(db, id)
  const need = { scope: 'FILES_READ', role: 'VIEWER' } as const
  await requireAccess(db, viewer, upload?.workspaceId ?? '', need, id)
  if (!upload) throw new NotFound(id)
  return upload
}

/** A token that was revoked, or whose time is over, opens nothing any more; nobody's view never ends. */
async function requireToken({ db, viewer, now }: ServiceContext) {
  if (!viewer) return
  const [token] = await tokensById(db, [viewer.tokenId])
  if (!token || !isAlive(token, now())) throw new Unauthenticated()
}

/** An endless story that can be ended while it waits: a generator alone would only hear of it at its next yield. */
function stream<T>(story: (signal: AbortSignal) => AsyncGenerator<T>): AsyncGenerator<T> {
  const over = new AbortController()
  const steps = story(over.signal)
  return {
    next: () => steps.next(),
    return(value) {
      over.abort()
      return steps.return(value)
    },
    throw(error) {
      over.abort()
      return steps.throw(error)
    },
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      await this.return(undefined)
    },
  }
}
