import { sql } from 'kysely'
import type { Db } from '../../database/database.ts'
import { type Check, type CheckContext, type Finding, idsOf } from '../../fsck/check.ts'
import { foldName } from '../../names.ts'
import { hasCycle, repairPath } from './repair/repair-paths.ts'
import {
  differingKinds,
  differingTotals,
  repairKinds,
  repairTotals,
} from './repair/repair-totals.ts'
import { childPath } from './rules.ts'

const entries = ({ db }: CheckContext) => idsOf(db, 'entries')

type EntryWithParent = Awaited<ReturnType<typeof loadWithParents>>[number]
type Rule = {
  code: string
  isBroken: (entry: EntryWithParent) => boolean
  says: (entry: EntryWithParent) => string
  /** The reason why fsck does not repair it; absent if the parent folder determines the correct values. */
  left?: string
}

const isTop = ({ id, rootId }: EntryWithParent) => id === rootId
const isFolder = ({ kind }: EntryWithParent) => kind === 'folder'
const displayPath = (entry: EntryWithParent) => `${entry.path} (${entry.pathKey})`

/** Only the first broken rule is reported, because it may have caused the others. */
const rules: Rule[] = [
  {
    code: 'ENTRY_PARENT',
    isBroken: ({ parentId, parentKind, workspaceId, parentWorkspaceId }) =>
      parentId !== null && (parentKind !== 'folder' || parentWorkspaceId !== workspaceId),
    says: ({ parentId }) => `its parent ${parentId} is not a folder of its workspace`,
    left: 'its correct folder is unknown',
  },
  {
    code: 'ENTRY_LOST',
    isBroken: (entry) => entry.parentId === null && entry.trashedAt === null && !isTop(entry),
    says: () => 'it has no parent folder and is not in the trash',
    left: 'its correct folder is unknown',
  },
  {
    code: 'ENTRY_TRASH',
    isBroken: (entry) => !isTrashConsistent(entry),
    says: () => 'its trash columns contradict each other',
    left: 'it is unknown whether it belongs in the trash',
  },
  {
    code: 'ENTRY_NAME',
    isBroken: ({ name, nameKey, rootId, id }) => id !== rootId && nameKey !== foldName(name),
    says: ({ name, nameKey }) =>
      `its name ${JSON.stringify(name)} has the wrong name key ${JSON.stringify(nameKey)}`,
    left: 'another entry may have the correct key; rename it',
  },
  {
    code: 'ENTRY_PLACE',
    isBroken: (entry) => isFolder(entry) && entry.parentId !== null && !hasCorrectPath(entry),
    says: (entry) =>
      `its path ${displayPath(entry)} does not match its parent ${entry.parentPath || '/'}`,
  },
  {
    code: 'ENTRY_PLACE',
    isBroken: (entry) => isFolder(entry) && entry.parentId === null && !hasCorrectTopPath(entry),
    says: (entry) => `its path ${displayPath(entry)} is invalid`,
    left: 'it has no parent folder to derive the path from',
  },
]

function isTrashConsistent(entry: EntryWithParent): boolean {
  const { trashedAt, parentId, originalPath, purgingAt, trashRootId, id, rootTrashedAt } = entry
  if (trashedAt === null) {
    const hasValidRoot = trashRootId === null || rootTrashedAt !== null
    return purgingAt === null && originalPath === null && hasValidRoot && trashRootId !== id
  }
  return parentId === null && originalPath !== null && (!isFolder(entry) || trashRootId === id)
}

const hasCorrectPath = ({
  name,
  nameKey,
  path,
  pathKey,
  trashRootId,
  ...parent
}: EntryWithParent) =>
  path === childPath({ path: parent.parentPath ?? '' }, name) &&
  pathKey === `${parent.parentPathKey ?? ''}${nameKey}/` &&
  trashRootId === parent.parentTrashRootId

/**
 * Returns whether a folder without a parent has the correct path: the empty path for a root, the original
 * path for a directly trashed folder.
 */
const hasCorrectTopPath = (entry: EntryWithParent) =>
  isTop(entry)
    ? entry.path === '' && entry.pathKey === '' && entry.trashRootId === null
    : entry.path === entry.originalPath && (entry.pathKey ?? '').endsWith(`${entry.nameKey}/`)

const loadWithParents = (db: Db, ids: readonly string[]) =>
  db
    .selectFrom('entries as e')
    .innerJoin('workspaces as w', 'w.id', 'e.workspaceId')
    .leftJoin('entries as p', 'p.id', 'e.parentId')
    .leftJoin('entries as r', 'r.id', 'e.trashRootId')
    .select(['e.id', 'e.workspaceId', 'e.kind', 'e.parentId', 'e.name', 'e.nameKey', 'e.path'])
    .select(['e.pathKey', 'e.trashRootId', 'e.trashedAt', 'e.originalPath', 'e.purgingAt'])
    .select(['w.rootId', 'r.trashedAt as rootTrashedAt'])
    .select(['p.kind as parentKind', 'p.workspaceId as parentWorkspaceId'])
    .select(['p.path as parentPath', 'p.pathKey as parentPathKey'])
    .select('p.trashRootId as parentTrashRootId')
    .where('e.id', 'in', ids)
    .execute()

/** Checks that the folder tree has no cycle, and that paths and trash columns are consistent with it. */
export const treeCheck: Check = {
  scan: entries,
  async evaluate(c, ids) {
    const found: Finding[] = []
    for (const entry of await loadWithParents(c.db, ids)) {
      const rule = rules.find(({ isBroken }) => isBroken(entry))
      if (rule) found.push(await findingOf(c, entry, rule))
    }
    return found
  },
}

async function findingOf(
  c: CheckContext,
  entry: EntryWithParent,
  { code, says, left }: Rule,
): Promise<Finding> {
  const finding = { code, subject: entry.id, says: says(entry) }
  if (left) return { ...finding, left }
  if (!(await hasCycle(c.db, entry.id))) return { ...finding, repair: () => repairPath(c, entry) }
  const cycle = 'its ancestors form a cycle'
  return { ...finding, code: 'ENTRY_CYCLE', says: cycle, left: 'its correct folder is unknown' }
}

/** Checks the totals of folders against their children. Trees that are being purged are skipped. */
export const totalsCheck: Check = {
  scan: entries,
  async evaluate(c, ids) {
    const differing = await differingTotals(c.db, ids)
    return differing.map(({ id, workspaceId, counted, ...stored }) => ({
      code: 'FOLDER_TOTALS',
      subject: id,
      says: `its totals are ${JSON.stringify(stored)}, but its children add up to ${JSON.stringify(counted)}`,
      repair: () => repairTotals(c, { id, workspaceId }),
    }))
  },
}

/** Checks the per-kind totals of folders against the files directly in them. */
export const kindsCheck: Check = {
  scan: entries,
  async evaluate(c, ids) {
    const differing = await differingKinds(c.db, ids)
    return differing.map(({ id, workspaceId, mediaKind, bytes, fileCount }) => ({
      code: 'FOLDER_KINDS',
      subject: id,
      says: `its totals of ${mediaKind} are off by ${fileCount} files and ${bytes} bytes`,
      repair: () => repairKinds(c, { id, workspaceId }),
    }))
  },
}

/** Checks that every workspace has its root folder. */
export const rootsCheck: Check = {
  scan: ({ db }) => idsOf(db, 'workspaces'),
  async evaluate({ db }, ids) {
    const rootless = await db
      .selectFrom('workspaces as w')
      .leftJoin('entries as e', 'e.id', 'w.rootId')
      .select(['w.id', 'w.rootId'])
      .where('w.id', 'in', ids)
      .where((eb) =>
        eb.or([
          eb('e.id', 'is', null),
          eb('e.kind', '!=', 'folder'),
          eb('e.parentId', 'is not', null),
          sql<boolean>`e."workspaceId" <> w."id"`,
        ]),
      )
      .execute()
    return rootless.map(({ id, rootId }) => ({
      code: 'WORKSPACE_ROOT',
      subject: id,
      says: `its root folder ${rootId} does not exist`,
      left: 'its content is unknown',
    }))
  },
}
