import type { ServiceContext, Viewer } from '../../context.ts'
import { alignToIds, type Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import type { Tx } from '../../database/transaction.ts'
import { NotFound } from '../../errors.ts'
import { isIdSignature, signedIdPattern, signShareId } from '../../signing/signed-links.ts'
import type { SigningKeys } from '../../signing/signing-keys.ts'
import { type EntryRow, entryById, trashRootOf } from '../entries/reads.ts'
import { isWithin } from '../entries/rules.ts'
import { versionsById } from '../files/reads.ts'
import { requireAccess } from '../workspaces/reads.ts'
import { isExpired, type ShareRow } from './rules.ts'

/** What making, seeing and revoking share links asks of the viewer. */
export const toShare = { scope: 'SHARES_WRITE', role: 'EDITOR' } as const

const TOKEN = new RegExp(`^${signedIdPattern}$`)

/** What a holder shows: the id and an HMAC of it. Nothing of it is stored, and it can be shown again. */
export const shareToken = (keys: SigningKeys, id: string) =>
  `${id.slice('shr_'.length)}.${signShareId(keys, id)}`

/** The id in a token, or null for what was not made here. Asks no database. */
export function shareIdOf(keys: SigningKeys, token: string): string | null {
  const [, hex, signature] = TOKEN.exec(token) ?? []
  if (!hex || !signature) return null
  const id = `shr_${hex}`
  return isIdSignature(keys, 'share', id, signature) ? id : null
}

export async function sharesById(
  db: Db | Tx,
  ids: readonly string[],
): Promise<(ShareRow | null)[]> {
  return alignToIds(ids, await shares(db).where('id', 'in', ids).execute())
}

/** Those of an entry that is being purged go with its row, and are over before. */
const shares = (db: Db | Tx) =>
  db
    .selectFrom('shareLinks')
    .selectAll()
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('entries as e')
          .select('e.id')
          .whereRef('e.id', '=', 'shareLinks.entryId')
          .where('e.purgingAt', 'is', null),
      ),
    )

/** A share link of a workspace in which the viewer may share; NotFound, Forbidden. */
export async function requireShareLink(db: Db | Tx, viewer: Viewer, id: string): Promise<ShareRow> {
  const [share] = await sharesById(db, [id])
  await requireAccess(db, viewer, share?.workspaceId ?? '', toShare, id)
  if (!share) throw new NotFound(id)
  return share
}

/** The share links of a workspace, newest first. */
export function sharesList(db: Db, workspaceId: string): List<ShareRow> {
  return {
    ordering: 'shareLinks',
    keys: [
      { column: 'shareLinks.createdAt', as: 'createdAt', direction: 'desc', numeric: true },
      { column: 'shareLinks.id', as: 'id', direction: 'desc' },
    ],
    segments: [shares(db).where('workspaceId', '=', workspaceId)],
  }
}

/** The share links of each of these entries, newest first. */
export async function sharesOfEntries(db: Db, entryIds: readonly string[]): Promise<ShareRow[][]> {
  const rows = await db
    .selectFrom('shareLinks')
    .selectAll()
    .where('entryId', 'in', entryIds)
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .execute()
  const byEntry = Map.groupBy(rows, ({ entryId }) => entryId)
  return entryIds.map((id) => byEntry.get(id) ?? [])
}

/** A share, the entry that it shares, and the one of its subtree that is asked for, with its folder. */
export type Shared = {
  share: ShareRow
  root: EntryRow
  entry: EntryRow
  parent: EntryRow | null
}

/**
 * The one function that authorises by a share: `entryId` (else the shared entry itself) lives, and is what is shared or lies
 * below it, and the share is neither revoked nor over. Everything else is the same NotFound. Password and downloads are
 * asked for where a share is opened and where a download begins.
 */
export async function requireShared(
  { db, now }: Pick<ServiceContext, 'db' | 'now'>,
  shareLinkId: string,
  entryId?: string,
): Promise<Shared> {
  const [share] = await sharesById(db, [shareLinkId])
  if (!share || isExpired(share, now())) throw shareNotFound()
  const { entry: root } = await requireLiving(db, share.entryId)
  const asked = await requireLiving(db, entryId ?? root.id)
  if (!isBelow(root, asked)) throw shareNotFound()
  return { share, root, ...asked }
}

/** The same for the file of a version; NotFound. */
export async function requireSharedVersion(
  ctx: Pick<ServiceContext, 'db' | 'now'>,
  shareLinkId: string,
  versionId: string,
): Promise<Shared> {
  const [version] = await versionsById(ctx.db, [versionId])
  if (!version) throw shareNotFound()
  return requireShared(ctx, shareLinkId, version.fileId)
}

/** For a download that has begun: the share is there, be it used up or over in the meantime; NotFound. */
export async function requireUnrevoked({ db }: Pick<ServiceContext, 'db'>, shareLinkId: string) {
  const [share] = await sharesById(db, [shareLinkId])
  if (!share) throw shareNotFound()
}

/** Whoever holds no share learns nothing of why. */
export const shareNotFound = () => new NotFound('share', 'nothing is here')

type Placed = { entry: EntryRow; parent: EntryRow | null }

async function requireLiving(db: Db, id: string): Promise<Placed> {
  const entry = await entryById(db, id)
  const parent = entry?.parentId ? await entryById(db, entry.parentId) : null
  if (!entry || (entry.parentId && !parent) || trashRootOf(entry, parent)) throw shareNotFound()
  return { entry, parent }
}

function isBelow(root: EntryRow, { entry, parent }: Placed): boolean {
  if (entry.id === root.id) return true
  if (root.kind !== 'folder' || entry.workspaceId !== root.workspaceId) return false
  const folder = entry.kind === 'folder' ? entry : parent
  return folder !== null && isWithin(folder, root)
}
