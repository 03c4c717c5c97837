import { sql } from 'kysely'
import type { Db } from '../../database/database.ts'
import { type Check, type CheckContext, type Finding, idsOf } from '../../fsck/check.ts'
import { foldName } from '../../names.ts'
import { hasCycle, repairPath } from './repair-paths.ts'
import { differingKinds, differingTotals, mendKinds, mendTotals } from './repair-totals.ts'
import { childPath } from './rules.ts'

const entries = ({ db }: CheckContext) => idsOf(db, 'entries')

type Placed = Awaited<ReturnType<typeof placesOf>>[number]
type Rule = {
  code: string
  isBroken: (entry: Placed) => boolean
  says: (entry: Placed) => string
  /** Why it is not mended; absent for what follows from the folder above. */
  left?: string
}

const isTop = ({ id, rootId }: Placed) => id === rootId
const isFolder = ({ kind }: Placed) => kind === 'folder'
const place = (entry: Placed) => `${entry.path} (${entry.pathKey})`

/** The first that is broken is told; the others may follow from it. */
const rules: Rule[] = [
  {
    code: 'ENTRY_PARENT',
    isBroken: ({ parentId, parentKind, workspaceId, parentWorkspaceId }) =>
      parentId !== null && (parentKind !== 'folder' || parentWorkspaceId !== workspaceId),
    says: ({ parentId }) => `it lies in ${parentId}, which is no folder of its workspace`,
    left: 'where it belongs nobody knows',
  },
  {
    code: 'ENTRY_LOST',
    isBroken: (entry) => entry.parentId === null && entry.trashedAt === null && !isTop(entry),
    says: () => 'it lies in no folder, and is not in the trash',
    left: 'where it belongs nobody knows',
  },
  {
    code: 'ENTRY_TRASH',
    isBroken: (entry) => !isTrashConsistent(entry),
    says: () => 'half of what it says is of something in the trash, and half is not',
    left: 'whether it was to be in the trash nobody knows',
  },
  {
    code: 'ENTRY_NAME',
    isBroken: ({ name, nameKey, rootId, id }) => id !== rootId && nameKey !== foldName(name),
    says: ({ name, nameKey }) =>
      `${JSON.stringify(name)} is compared as ${JSON.stringify(nameKey)}`,
    left: 'another entry may have that name; rename it',
  },
  {
    code: 'ENTRY_PLACE',
    isBroken: (entry) => isFolder(entry) && entry.parentId !== null && !isInPlace(entry),
    says: (entry) => `it says that it is at ${place(entry)}, below ${entry.parentPath || '/'}`,
  },
  {
    code: 'ENTRY_PLACE',
    isBroken: (entry) => isFolder(entry) && entry.parentId === null && !isTopInPlace(entry),
    says: (entry) => `it says that it is at ${place(entry)}`,
    left: 'there is no folder above it to tell where it is',
  },
]

function isTrashConsistent(entry: Placed): boolean {
  const { trashedAt, parentId, originalPath, purgingAt, trashRootId, id, rootTrashedAt } = entry
  if (trashedAt === null) {
    const isWith = trashRootId === null || rootTrashedAt !== null
    return purgingAt === null && originalPath === null && isWith && trashRootId !== id
  }
  return parentId === null && originalPath !== null && (!isFolder(entry) || trashRootId === id)
}

const isInPlace = ({ name, nameKey, path, pathKey, trashRootId, ...parent }: Placed) =>
  path === childPath({ path: parent.parentPath, pathKey: null }, name) &&
  pathKey === `${parent.parentPathKey ?? ''}${nameKey}/` &&
  trashRootId === parent.parentTrashRootId

/** A root has no path; of what was put in the trash the path is the one that it had. */
const isTopInPlace = (entry: Placed) =>
  isTop(entry)
    ? entry.path === '' && entry.pathKey === '' && entry.trashRootId === null
    : entry.path === entry.originalPath && (entry.pathKey ?? '').endsWith(`${entry.nameKey}/`)

const placesOf = (db: Db, ids: readonly string[]) =>
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

/** Folders hold folders without a circle, paths follow from them, and what is in the trash says so. */
export const placesCheck: Check = {
  scan: entries,
  async evaluate(c, ids) {
    const found: Finding[] = []
    for (const entry of await placesOf(c.db, ids)) {
      const rule = rules.find(({ isBroken }) => isBroken(entry))
      if (rule) found.push(await findingOf(c, entry, rule))
    }
    return found
  },
}

async function findingOf(
  c: CheckContext,
  entry: Placed,
  { code, says, left }: Rule,
): Promise<Finding> {
  const told = { code, subject: entry.id, says: says(entry) }
  if (left) return { ...told, left }
  if (!(await hasCycle(c.db, entry.id))) return { ...told, repair: () => repairPath(c, entry) }
  const loop = 'the folders above it lead back to it'
  return { ...told, code: 'ENTRY_CYCLE', says: loop, left: 'where it belongs nobody knows' }
}

/** A folder counts what lies in it, and what the folders in it count. What is being purged counts no more. */
export const totalsCheck: Check = {
  scan: entries,
  async evaluate(c, ids) {
    const differing = await differingTotals(c.db, ids)
    return differing.map(({ id, workspaceId, counted, ...said }) => ({
      code: 'FOLDER_TOTALS',
      subject: id,
      says: `it counts ${JSON.stringify(said)}, there are ${JSON.stringify(counted)}`,
      repair: () => mendTotals(c, { id, workspaceId }),
    }))
  },
}

/** The same for the kinds of the files in it. */
export const kindsCheck: Check = {
  scan: entries,
  async evaluate(c, ids) {
    const differing = await differingKinds(c.db, ids)
    return differing.map(({ id, workspaceId, mediaKind, bytes, fileCount }) => ({
      code: 'FOLDER_KINDS',
      subject: id,
      says: `${mediaKind}: ${fileCount} files and ${bytes} bytes more are there than it counts`,
      repair: () => mendKinds(c, { id, workspaceId }),
    }))
  },
}

/** Each workspace has its root. */
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
      says: `its root, ${rootId}, is not there`,
      left: 'what was in it nobody knows',
    }))
  },
}
