import { withKeyLock } from '../../concurrency/keyed-mutex.ts'
import { inTransaction, type ServiceContext } from '../../context.ts'
import { NotFound } from '../../errors.ts'
import { record } from '../activity/writes.ts'
import { pathOf } from '../entries/reads.ts'
import { isPassword } from './passwords.ts'
import { requireShared, type Shared, shareIdOf, shareNotFound, sharesById } from './reads.ts'
import { addressLockMs, isLocked, isUsedUp, lockMs, type ShareRow } from './rules.ts'

type Opening = {
  token: string
  password?: string | null | undefined
  /** Where it is asked from: whoever guesses there waits, whichever link it is for. */
  address: string
  /** One of the subtree, in place of the shared entry itself. */
  entryId?: string | null | undefined
}

/**
 * What a share shows to the holder of its token and, where it has one, its password. An unknown token, a wrong password, and
 * a share that is revoked, over or used up are the same NotFound. Each opening of the shared entry is logged.
 */
export async function openShare(ctx: ServiceContext, opening: Opening): Promise<Shared> {
  const id = shareIdOf(ctx.signingKeys, opening.token)
  if (!id) throw shareNotFound()
  const shared = await requireShared(ctx, id, opening.entryId ?? undefined)
  if (isUsedUp(shared.share)) throw shareNotFound()
  await requirePassword(ctx, shared.share, opening)
  if (shared.entry === shared.root || shared.entry.id === shared.root.id) await log(ctx, shared)
  return shared
}

/** The same as a question: null for whatever shows nothing. */
export const tryShare = (ctx: ServiceContext, opening: Opening): Promise<Shared | null> =>
  openShare(ctx, opening).catch((error) => {
    if (error instanceof NotFound) return null
    throw error
  })

async function log(ctx: ServiceContext, { share, root, parent }: Shared) {
  const { id: shareLinkId, workspaceId } = share
  await inTransaction(ctx, (s) =>
    record(s, {
      workspaceId,
      action: 'SHARE_LINK_OPENED',
      entryId: root.id,
      path: pathOf(root, parent),
      details: { shareLinkId },
    }),
  )
}

async function requirePassword(
  ctx: ServiceContext,
  share: ShareRow,
  { password, address }: Opening,
) {
  if (share.passwordHash === null) return
  if (password == null || password.length > 1000) throw shareNotFound()
  const verdict = await tryFrom(ctx, address, () =>
    withKeyLock(share.id, () => tryPassword(ctx, share.id, password)),
  )
  if (verdict !== 'right') throw shareNotFound()
}

type Verdict = 'right' | 'wrong' | 'not looked at'

const HOUR_MS = 3_600_000

/**
 * Nothing is tried for an address that waits, and a right password takes none of its wrong ones back: it may be of a link of the
 * guesser's own.
 */
const tryFrom = (
  { counter, now }: ServiceContext,
  address: string,
  attempt: () => Promise<Verdict>,
) =>
  withKeyLock(address, async () => {
    const lock = await counter.get(`share lock ${address}`)
    if (lock && isLocked({ lockedUntil: lock.endsAt }, now())) return 'not looked at'
    const verdict = await attempt()
    if (verdict !== 'wrong') return verdict
    const failures = await counter.add(`share failures ${address}`, 1, HOUR_MS)
    const lockedMs = addressLockMs(failures.points)
    if (lockedMs > 0) await counter.add(`share lock ${address}`, 1, lockedMs)
    return verdict
  })

/**
 * While the link is locked no password is looked at, the right one neither. A try that another process has counted one beside is
 * none, and begins anew.
 */
async function tryPassword(ctx: ServiceContext, id: string, password: string): Promise<Verdict> {
  const { db, now } = ctx
  const [share] = await sharesById(db, [id])
  if (!share?.passwordHash || isLocked(share, now())) return 'not looked at'
  const right = await isPassword(password, share.passwordHash)
  const failures = right ? 0 : share.failures + 1
  if (right && share.failures === 0) return 'right'
  const { numUpdatedRows } = await db
    .updateTable('shareLinks')
    .set({ failures, lockedUntil: right ? 0 : now() + lockMs(failures) })
    .where('id', '=', id)
    .where('failures', '=', share.failures)
    .executeTakeFirst()
  if (numUpdatedRows === 0n) return tryPassword(ctx, id, password)
  return right ? 'right' : 'wrong'
}
