import type { ServiceContext, Viewer } from '../../context.ts'
import { alignToIds, type Db } from '../../database/database.ts'
import type { List } from '../../database/query/keyset.ts'
import type { Tx } from '../../database/transaction.ts'
import { NotFound } from '../../errors/access.ts'
import { isIdSignature, signedIdPattern, signShareId } from '../../signing/signed-links.ts'
import type { SigningKeys } from '../../signing/signing-keys.ts'
import {
  type EntryRow,
  entryById,
  type FolderRow,
  folderById,
  trashRootOf,
} from '../entries/reads.ts'
import { isWithin } from '../entries/rules.ts'
import { versionsById } from '../files/reads.ts'
import { requireRow } from '../workspaces/reads.ts'
import { isExpired, type ShareRow } from './rules.ts'

/** The access that creating, reading and revoking share links requires. */
export const toShare = { scope: 'SHARES_WRITE', role: 'EDITOR' } as const

const TOKEN = new RegExp(`^${signedIdPattern}$`)

/** Returns the token of a share link: its id and an HMAC of the id. The token is not stored. */
export const shareToken = (keys: SigningKeys, id: string) =>
  `${id.slice('shr_'.length)}.${signShareId(keys, id)}`

/** Returns the id in a token, or null if its signature is wrong. Does not access the database. */
export function shareIdOf(keys: SigningKeys, token: string): string | null {
  const [, hex, signature] = TOKEN.exec(token) ?? []
  if (!hex || !signature) return null
  const id = `shr_${hex}`
  return isIdSignature(keys, 'share', id, signature) ? id : null
}

/** Loads share links by id, with null for each that does not exist or whose entry is being purged. */
export async function sharesById(
  db: Db | Tx,
  ids: readonly string[],
): Promise<(ShareRow | null)[]> {
  return alignToIds(ids, await shares(db).where('id', 'in', ids).execute())
}

/** Returns a query for the share links, except those of entries that are being purged. */
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

/** Returns a share link of a workspace in which the viewer may share. Throws NotFound, Forbidden. */
export async function requireShareLink(db: Db | Tx, viewer: Viewer, id: string): Promise<ShareRow> {
  const [share] = await sharesById(db, [id])
  return requireRow(db, viewer, id, share, toShare)
}

/** Returns the share links of a workspace, newest first. */
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

/** Returns the share links of each of these entries, newest first. */
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

/** A share link, its shared entry `root`, and the requested entry of the subtree with its parent. */
export type Shared = {
  share: ShareRow
  root: EntryRow
  entry: EntryRow
  parent: FolderRow | null
}

/**
 * Authorises access by a share link. No other function does. The entry `entryId` (default: the shared entry)
 * must be live and must be the shared entry or below it, and the link must not be revoked or expired. Throws
 * the same NotFound in all other cases. openShare checks the password, and beginSharedDownload checks the
 * download limit.
 */
export async function requireShared(
  { db, now }: Pick<ServiceContext, 'db' | 'now'>,
  shareLinkId: string,
  entryId?: string,
): Promise<Shared> {
  const [share] = await sharesById(db, [shareLinkId])
  if (!share || isExpired(share, now())) throw shareNotFound()
  const { entry: root } = await requireLive(db, share.entryId)
  const requested = await requireLive(db, entryId ?? root.id)
  if (!isBelow(root, requested)) throw shareNotFound()
  return { share, root, ...requested }
}

/** Authorises access to the file of a version by a share link. Throws NotFound. */
export async function requireSharedVersion(
  ctx: Pick<ServiceContext, 'db' | 'now'>,
  shareLinkId: string,
  versionId: string,
): Promise<Shared> {
  const [version] = await versionsById(ctx.db, [versionId])
  if (!version) throw shareNotFound()
  return requireShared(ctx, shareLinkId, version.fileId)
}

/**
 * Throws NotFound if a share link was revoked. A download that has started may continue after the link
 * expires or is used up.
 */
export async function requireUnrevoked({ db }: Pick<ServiceContext, 'db'>, shareLinkId: string) {
  const [share] = await sharesById(db, [shareLinkId])
  if (!share) throw shareNotFound()
}

/**
 * Returns the error for every failed access. It is always the same, so that it does not reveal the reason.
 */
export const shareNotFound = () => new NotFound('share', 'nothing is here')

type EntryWithParent = Pick<Shared, 'entry' | 'parent'>

async function requireLive(db: Db, id: string): Promise<EntryWithParent> {
  const entry = await entryById(db, id)
  const parent = await folderById(db, entry?.parentId)
  if (!entry || (entry.parentId && !parent) || trashRootOf(entry, parent)) throw shareNotFound()
  return { entry, parent }
}

function isBelow(root: EntryRow, { entry, parent }: EntryWithParent): boolean {
  if (entry.id === root.id) return true
  if (root.kind !== 'folder' || entry.workspaceId !== root.workspaceId) return false
  const folder = entry.kind === 'folder' ? entry : parent
  return folder !== null && isWithin(folder, root)
}
