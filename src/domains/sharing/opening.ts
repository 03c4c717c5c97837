import { NotFound } from '../../errors.ts'
import { inTransaction, type Scope } from '../../scope.ts'
import { record } from '../activity/writes.ts'
import { pathOf } from '../entries/reads.ts'
import { isPassword } from './passwords.ts'
import { nothingHere, requireShared, type Shared, shareIdOf, sharesById } from './reads.ts'
import { isLocked, isUsedUp, lockMs, type ShareRow } from './rules.ts'

type Opening = {
  token: string
  password?: string | null | undefined
  /** One of the subtree, in place of the shared entry itself. */
  entryId?: string | null | undefined
}

/**
 * What a share shows to the holder of its token and, where it has one, its password. An unknown token, a wrong password, and
 * a share that is revoked, over or used up are the same NotFound. Each opening of the shared entry is logged.
 */
export async function openShare(scope: Scope, opening: Opening): Promise<Shared> {
  const id = shareIdOf(scope.secret, opening.token)
  if (!id) throw nothingHere()
  const shared = await requireShared(scope, id, opening.entryId ?? undefined)
  if (isUsedUp(shared.share)) throw nothingHere()
  await requirePassword(scope, shared.share, opening.password)
  if (shared.entry === shared.root || shared.entry.id === shared.root.id) await log(scope, shared)
  return shared
}

/** The same as a question: null for whatever shows nothing. */
export const tryShare = (scope: Scope, opening: Opening): Promise<Shared | null> =>
  openShare(scope, opening).catch((error) => {
    if (error instanceof NotFound) return null
    throw error
  })

async function log(scope: Scope, { share, root, parent }: Shared) {
  const { id: shareLinkId, workspaceId } = share
  await inTransaction(scope, (s) =>
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
  scope: Scope,
  { id, passwordHash }: ShareRow,
  password?: string | null,
) {
  if (passwordHash === null) return
  if (password == null || password.length > 1000) throw nothingHere()
  const right = await inTurn(id, () => tryPassword(scope, id, password))
  if (!right) throw nothingHere()
}

/** Those who try at the same moment stand in a line, so that no try slips past the count of the one before it. */
const lines = new Map<string, Promise<unknown>>()

async function inTurn<T>(id: string, story: () => Promise<T>): Promise<T> {
  const before = lines.get(id) ?? Promise.resolve()
  const mine = before.then(story, story)
  lines.set(id, mine)
  return mine.finally(() => {
    if (lines.get(id) === mine) lines.delete(id)
  })
}

/**
 * While the link is locked no password is looked at, the right one neither. A try that another process has counted one beside is
 * none, and begins anew.
 */
async function tryPassword(scope: Scope, id: string, password: string): Promise<boolean> {
  const { db, now } = scope
  const [share] = await sharesById(db, [id])
  if (!share?.passwordHash || isLocked(share, now())) return false
  const right = await isPassword(password, share.passwordHash)
  const failures = right ? 0 : share.failures + 1
  if (right && share.failures === 0) return true
  const { numUpdatedRows } = await db
    .updateTable('shareLinks')
    .set({ failures, lockedUntil: right ? 0 : now() + lockMs(failures) })
    .where('id', '=', id)
    .where('failures', '=', share.failures)
    .executeTakeFirst()
  return numUpdatedRows > 0n ? right : tryPassword(scope, id, password)
}
