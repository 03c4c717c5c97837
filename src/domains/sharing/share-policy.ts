import { InvalidInput } from '../../errors.ts'
import type { Context } from '../../graphql/context.ts'
import { type FieldPolicy, restrict } from '../../graphql/field-policy.ts'
import { page } from '../../graphql/pages.ts'
import type { EntryFilter } from '../entries/filters.ts'
import { loadAncestors, loadParent } from '../entries/graphql.ts'
import { byName, childrenList, type EntryOrder } from '../entries/lists.ts'
import { type EntryRow, pathOf } from '../entries/reads.ts'
import { loadVersion } from '../files/graphql.ts'
import type { VersionRow } from '../files/reads.ts'
import { loadTags } from '../tags/graphql.ts'
import { sharedDownloadUrl } from './downloads.ts'
import type { Shared } from './reads.ts'

type Children = {
  filter?: EntryFilter | null
  orderBy?: EntryOrder | null
  first?: number | null
  after?: string | null
  last?: number | null
  before?: string | null
}
type LinkArgs = { expiresInSeconds: number; disposition: 'attachment' | 'inline' }
const LONGEST_LINK_SECONDS = 7 * 86_400

/** Filters that speak of what the holder sees. Whole paths, people and other folders are not among it. */
const filters = new Set<string>([
  'type',
  'kinds',
  'mediaTypes',
  'nameContains',
  'tags',
  'size',
  'createdAt',
  'updatedAt',
  'sha256',
] satisfies (keyof EntryFilter)[])

/**
 * The shared entry as the holder of the share sees it: itself and what lies below, to read. Nothing leads out: paths begin with
 * the name of what is shared, nobody's name is told, older versions stay at home, and links end with the share.
 */
export function restrictToShare(shared: Shared): EntryRow {
  const see = <R extends object>(row: R): R => restrict(sight, row)
  const entry = entryFields(shared, see)
  const sight: FieldPolicy = {
    Folder: { ...entry, totals: 'plain', children: childrenField(see) },
    FolderTotals: { bytes: 'plain', fileCount: 'plain', folderCount: 'plain' },
    File: {
      ...entry,
      ...plain('size', 'mediaType', 'kind', 'sha256', 'status'),
      version: async ({ versionId }: EntryRow, _: unknown, context) => {
        const version = await loadVersion(context, versionId ?? '')
        return version && see(version)
      },
      downloadUrl: linkField(shared),
    },
    FileVersion: versionFields,
    Tag: plain('id', 'name', 'color'),
    Sharing: { visibility: 'plain', links: () => [] },
  }
  return see(shared.entry)
}

type See = <R extends object>(row: R) => R

const plain = (...fields: string[]) =>
  Object.fromEntries(fields.map((field) => [field, 'plain' as const]))

const nobody = () => null

function entryFields({ root }: Shared, see: See): FieldPolicy[string] {
  const isRoot = ({ id }: EntryRow) => id === root.id
  return {
    ...plain('id', 'name', 'nameWarnings', 'description', 'metadata', 'revision'),
    ...plain('createdAt', 'updatedAt', 'sharing'),
    createdBy: nobody,
    updatedBy: nobody,
    trash: nobody,
    path: async (entry: EntryRow, _: unknown, context) => {
      const parent = entry.kind === 'file' ? await loadParent(entry, context) : null
      return isRoot(entry) ? entry.name : pathBelow(root, pathOf(entry, parent))
    },
    tags: async ({ id }: EntryRow, _: unknown, context) =>
      ((await loadTags(context, id)) ?? []).map(see),
    parent: async (entry: EntryRow, _: unknown, context) => {
      const parent = isRoot(entry) ? null : await loadParent(entry, context)
      return parent && see(parent)
    },
    ancestors: async (entry: EntryRow, _: unknown, context) => {
      if (isRoot(entry)) return []
      const all = await loadAncestors(entry, context)
      return all.slice(all.findIndex(isRoot)).map(see)
    },
  }
}

/** From the shared folder, beginning with its own name. */
const pathBelow = ({ name, path }: EntryRow, whole: string) =>
  path ? name + whole.slice(path.length) : whole

const childrenField =
  (see: See) =>
  async (folder: EntryRow, { filter, orderBy, ...args }: Children, { db }: Context) => {
    refuseFilter(filter ?? {})
    const found = await page(args, childrenList(db, folder, filter ?? {}, orderBy ?? byName))
    const edges = found.edges.map((edge) => ({
      node: see(edge.node),
      get cursor() {
        return edge.cursor
      },
    }))
    return { ...found, edges }
  }

function refuseFilter(filter: EntryFilter) {
  const foreign = Object.entries(filter).find(
    ([name, value]) => value != null && !filters.has(name),
  )
  if (!foreign) return
  throw new InvalidInput({ path: ['filter', foreign[0]], message: 'is not for what is shared' })
}

const linkField =
  ({ share }: Shared) =>
  (file: EntryRow, args: LinkArgs, context: Context) => {
    const { expiresInSeconds } = args
    if (expiresInSeconds < 1 || expiresInSeconds > LONGEST_LINK_SECONDS) {
      const message = `1 to ${LONGEST_LINK_SECONDS} seconds`
      throw new InvalidInput({ path: ['expiresInSeconds'], message })
    }
    return sharedDownloadUrl(context, share, file, args)
  }

const versionFields: FieldPolicy[string] = {
  ...plain('id', 'number', 'size', 'mediaType', 'sha256', 'comment', 'createdAt'),
  createdBy: nobody,
  isCurrent: (_: VersionRow) => true,
}
