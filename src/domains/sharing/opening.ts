import { createKeyedMutex } from '../../concurrency/keyed-mutex.ts'
import { inLockedTransaction, type ServiceContext } from '../../context.ts'
import { NotFound } from '../../errors/access.ts'
import { record } from '../activity/writes.ts'
import { pathOf } from '../entries/reads.ts'
import { isPassword } from './passwords.ts'
import { requireShared, type Shared, shareIdOf, shareNotFound, sharesById } from './reads.ts'
import { addressLockMs, isLocked, isUsedUp, lockMs, type ShareRow } from './rules.ts'

type Opening = {
  token: string
  password?: string | null | undefined
  /** The client address. Wrong passwords from an address lock it for all share links. */
  address: string
  /** An entry in the shared subtree. Default: the shared entry. */
  entryId?: string | null | undefined
}

/**
 * Opens a share link with its token and, if it has one, its password. Throws the same NotFound for an unknown
 * token, a wrong password, and a link that is revoked, expired or used up. Each opening of the shared entry
 * is logged.
 */
export async function openShare(ctx: ServiceContext, opening: Opening): Promise<Shared> {
  const id = shareIdOf(ctx.signingKeys, opening.token)
  if (!id) throw shareNotFound()
  const shared = await requireShared(ctx, id, opening.entryId ?? undefined)
  if (isUsedUp(shared.share)) throw shareNotFound()
  await requirePassword(ctx, shared.share, opening)
  if (shared.entry === shared.root || shared.entry.id === shared.root.id)
    await logOpening(ctx, shared)
  return shared
}

/** Opens a share link like openShare, but returns null instead of throwing NotFound. */
export const tryShare = (ctx: ServiceContext, opening: Opening): Promise<Shared | null> =>
  openShare(ctx, opening).catch((error) => {
    if (error instanceof NotFound) return null
    throw error
  })

async function logOpening(ctx: ServiceContext, { share, root, parent }: Shared) {
  const { id: shareLinkId, workspaceId } = share
  await inLockedTransaction(ctx, [workspaceId], (s) =>
    record(s, {
      workspaceId,
      action: 'SHARE_LINK_OPENED',
      entryId: root.id,
      path: pathOf(root, parent),
      details: { shareLinkId },
    }),
  )
}

/** One attempt at a time for each share and each address. */
const attempts = createKeyedMutex()

async function requirePassword(
  ctx: ServiceContext,
  share: ShareRow,
  { password, address }: Opening,
) {
  if (share.passwordHash === null) return
  if (password == null || password.length > 1000) throw shareNotFound()
  const verdict = await checkFromAddress(ctx, address, () =>
    attempts.run(share.id, () => checkPassword(ctx, share.id, password)),
  )
  if (verdict !== 'right') throw shareNotFound()
}

type Verdict = 'right' | 'wrong' | 'not checked'

const HOUR_MS = 3_600_000

/**
 * Checks a password unless the address is locked. A correct password does not reset the failures of the
 * address, because an attacker could use a link of their own for that.
 */
const checkFromAddress = (
  { counter, now }: ServiceContext,
  address: string,
  attempt: () => Promise<Verdict>,
) =>
  attempts.run(address, async () => {
    const lock = await counter.get(`share lock ${address}`)
    if (lock && isLocked({ lockedUntil: lock.endsAt }, now())) return 'not checked'
    const verdict = await attempt()
    if (verdict !== 'wrong') return verdict
    const failures = await counter.add(`share failures ${address}`, 1, HOUR_MS)
    const lockedMs = addressLockMs(failures.points)
    if (lockedMs > 0) await counter.add(`share lock ${address}`, 1, lockedMs)
    return verdict
  })

/**
 * Checks a password unless the link is locked; then not even the correct one is accepted. Starts again if
 * another process has counted an attempt meanwhile.
 */
async function checkPassword(ctx: ServiceContext, id: string, password: string): Promise<Verdict> {
  const { db, now } = ctx
  const [share] = await sharesById(db, [id])
  if (!share?.passwordHash || isLocked(share, now())) return 'not checked'
  const isRight = await isPassword(password, share.passwordHash)
  const failures = isRight ? 0 : share.failures + 1
  if (isRight && share.failures === 0) return 'right'
  const { numUpdatedRows } = await db
    .updateTable('shareLinks')
    .set({ failures, lockedUntil: isRight ? 0 : now() + lockMs(failures) })
    .where('id', '=', id)
    .where('failures', '=', share.failures)
    .executeTakeFirst()
  if (numUpdatedRows === 0n) return checkPassword(ctx, id, password)
  return isRight ? 'right' : 'wrong'
}
