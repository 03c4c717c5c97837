import type { ServiceContext } from '../../context.ts'
import { type Listening, listen, notifyOnCommit } from '../../database/notify.ts'
import { Unauthenticated } from '../../errors/access.ts'
import { isAlive, tokensById } from '../accounts/reads.ts'
import type { SyncPosition } from '../activity/sync-cursor.ts'
import { recorded } from '../activity/writes.ts'
import { uploadById } from '../uploads/reads.ts'
import { isTerminal, statusAt, type UploadRow } from '../uploads/rules.ts'
import { requireRow } from '../workspaces/reads.ts'
import { isStreamEnd, type StreamEnd } from './events.ts'
import { type Batch, changesAfter, currentPosition, positionOf } from './reads.ts'

/**
 * Interval at which a stream checks the rights of its viewer, and reads state whose changes are not logged.
 */
const POLL_INTERVAL_MS = 500
/** Maximum number of changes in one event of a subscription. */
export const MAX_EVENT_CHANGES = 100

recorded.listen(async (tx, { event }) => notifyOnCommit(tx, event.workspaceId))

/**
 * Streams the changes of a workspace in batches, after the cursor `since` or from now on. The first batch is
 * sent immediately and may be empty. If the viewer may no longer see the workspace, or the cursor has
 * expired, the last item is a StreamEnd. Throws Forbidden if the viewer lacks the scope, and Unauthenticated
 * within a second after the token is revoked or expires.
 */
export const subscribeToChanges = (
  ctx: ServiceContext,
  workspaceId: string,
  since?: string | null,
) => stream((signal) => withStreamEnd(changeBatches(ctx, workspaceId, since, signal)))

/** Yields the error that ends a stream as its last item; rethrows other errors. */
async function* withStreamEnd(batches: AsyncGenerator<Batch>): AsyncGenerator<Batch | StreamEnd> {
  try {
    yield* batches
  } catch (error) {
    if (!isStreamEnd(error)) throw error
    yield error
  }
}

async function* changeBatches(
  ctx: ServiceContext,
  workspaceId: string,
  since: string | null | undefined,
  signal: AbortSignal,
): AsyncGenerator<Batch> {
  // Subscribe before the first read, so that no notification is missed.
  using subscription = listen(workspaceId)
  let position: SyncPosition | null = null
  while (!signal.aborted) {
    await requireToken(ctx)
    const from: SyncPosition = position ?? (await startPosition(ctx, workspaceId, since))
    const batch = await changesAfter(ctx, workspaceId, from, MAX_EVENT_CHANGES)
    if (!position || batch.changes.length > 0) yield batch
    position = batch.position
    if (!batch.hasMore) await subscription.news(POLL_INTERVAL_MS, signal)
  }
}

const startPosition = async (
  ctx: ServiceContext,
  workspaceId: string,
  since: string | null | undefined,
) => (since == null ? currentPosition(ctx, workspaceId) : positionOf(ctx, workspaceId, since))

/**
 * Streams an upload: its current state, then each change of its offset, size, status or failures, until a
 * final status. Requires role VIEWER and scope FILES_READ. Throws NotFound, Forbidden and Unauthenticated, at
 * the start or at any later time.
 */
export const subscribeToUpload = (ctx: ServiceContext, uploadId: string) =>
  stream((signal) => progress(ctx, uploadId, signal))

async function* progress(
  ctx: ServiceContext,
  uploadId: string,
  signal: AbortSignal,
): AsyncGenerator<UploadRow> {
  let subscription: Listening | null = null
  try {
    for (let lastState = ''; !signal.aborted; ) {
      await requireToken(ctx)
      const upload = await requireUpload(ctx, uploadId)
      const status = statusAt(upload, ctx.now())
      subscription ??= listen(upload.workspaceId)
      const state = JSON.stringify([status, upload.offset, upload.size, upload.failures])
      if (state !== lastState) yield upload
      if (isTerminal(status)) return
      lastState = state
      await subscription.news(POLL_INTERVAL_MS, signal)
    }
  } finally {
    subscription?.[Symbol.dispose]()
  }
}

async function requireUpload({ db, viewer }: ServiceContext, id: string): Promise<UploadRow> {
  const requirement = { scope: 'FILES_READ', role: 'VIEWER' } as const
  return requireRow(db, viewer, id, await uploadById(db, id), requirement)
}

/** Throws Unauthenticated if the token is revoked or expired. Does nothing for a request without a token. */
async function requireToken({ db, viewer, now }: ServiceContext) {
  if (!viewer) return
  const [token] = await tokensById(db, [viewer.tokenId])
  if (!token || !isAlive(token, now())) throw new Unauthenticated()
}

/**
 * Returns a generator whose `return` also ends it while it waits. A plain generator would end only at its
 * next yield.
 */
function stream<T>(generate: (signal: AbortSignal) => AsyncGenerator<T>): AsyncGenerator<T> {
  const controller = new AbortController()
  const source = generate(controller.signal)
  return {
    next: () => source.next(),
    return(value) {
      controller.abort()
      return source.return(value)
    },
    throw(error) {
      controller.abort()
      return source.throw(error)
    },
    [Symbol.asyncIterator]() {
      return this
    },
    async [Symbol.asyncDispose]() {
      await this.return(undefined)
    },
  }
}
