import { InvalidInput } from '../../errors/input.ts'
import type { Context } from '../../graphql/context.ts'
import { type FieldPolicy, restrict } from '../../graphql/field-policy.ts'
import { loadOrThrow } from '../../graphql/nodes.ts'
import { page } from '../../graphql/pages.ts'
import { loadAncestors, loadParent } from '../entries/graphql.ts'
import type { EntryFilter } from '../entries/lists/filters.ts'
import { byName, childrenList, type EntryOrder } from '../entries/lists/lists.ts'
import { type EntryRow, type FileRow, type FolderRow, pathOf } from '../entries/reads.ts'
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
const MAX_LINK_TTL_SECONDS = 7 * 86_400

/** The filters that a share link allows: those on fields that its holder can see. */
const allowedFilters = new Set<string>([
  'type',
  'kinds',
  'mediaTypes',
  'nameContains',
  'tags',
  'size',
  'createdAt',
  'updatedAt',
  'contentModifiedAt',
  'sha256',
] satisfies (keyof EntryFilter)[])

/**
 * Restricts the shared entry to what the holder of the link may read: the entry and its subtree. Paths start
 * with the name of the shared entry, users and older versions are hidden, and download links expire no later
 * than the share link.
 */
export function restrictToShare(shared: Shared): EntryRow {
  const restrictRow = <R extends object>(row: R): R => restrict(policy, row)
  const entry = entryFields(shared, restrictRow)
  const policy: FieldPolicy = {
    Folder: { ...entry, totals: 'plain', children: childrenField(restrictRow) },
    FolderTotals: { bytes: 'plain', fileCount: 'plain', folderCount: 'plain' },
    File: {
      ...entry,
      ...plain('size', 'mediaType', 'kind', 'sha256', 'status', 'contentModifiedAt'),
      version: async ({ versionId }: FileRow, _: unknown, context) =>
        restrictRow(await loadOrThrow(loadVersion, context, versionId)),
      downloadUrl: linkField(shared),
    },
    FileVersion: versionFields,
    Tag: plain('id', 'name', 'color'),
    Sharing: { visibility: 'plain', links: () => [] },
  }
  return restrictRow(shared.entry)
}

type RestrictRow = <R extends object>(row: R) => R

const plain = (...fields: string[]) =>
  Object.fromEntries(fields.map((field) => [field, 'plain' as const]))

const hidden = () => null

function entryFields({ root }: Shared, restrictRow: RestrictRow): FieldPolicy[string] {
  const isRoot = ({ id }: EntryRow) => id === root.id
  return {
    ...plain('id', 'name', 'nameWarnings', 'description', 'metadata', 'revision'),
    ...plain('createdAt', 'updatedAt', 'sharing'),
    createdBy: hidden,
    updatedBy: hidden,
    trash: hidden,
    path: async (entry: EntryRow, _: unknown, context) => {
      const parent = entry.kind === 'file' ? await loadParent(entry, context) : null
      return isRoot(entry) ? entry.name : pathBelow(root, pathOf(entry, parent))
    },
    tags: async ({ id }: EntryRow, _: unknown, context) =>
      ((await loadTags(context, id)) ?? []).map(restrictRow),
    parent: async (entry: EntryRow, _: unknown, context) => {
      const parent = isRoot(entry) ? null : await loadParent(entry, context)
      return parent && restrictRow(parent)
    },
    ancestors: async (entry: EntryRow, _: unknown, context) => {
      if (isRoot(entry)) return []
      const all = await loadAncestors(entry, context)
      return all.slice(all.findIndex(isRoot)).map(restrictRow)
    },
  }
}

/** Returns the path relative to the shared folder, starting with the name of that folder. */
const pathBelow = ({ name, path }: EntryRow, fullPath: string) =>
  path ? name + fullPath.slice(path.length) : fullPath

const childrenField =
  (restrictRow: RestrictRow) =>
  async (folder: FolderRow, { filter, orderBy, ...args }: Children, { db }: Context) => {
    assertAllowedFilter(filter ?? {})
    const found = await page(args, childrenList(db, folder, filter ?? {}, orderBy ?? byName))
    const edges = found.edges.map((edge) => ({
      node: restrictRow(edge.node),
      get cursor() {
        return edge.cursor
      },
    }))
    return { ...found, edges }
  }

function assertAllowedFilter(filter: EntryFilter) {
  const disallowed = Object.entries(filter).find(
    ([name, value]) => value != null && !allowedFilters.has(name),
  )
  if (!disallowed) return
  throw new InvalidInput({
    path: ['filter', disallowed[0]],
    message: 'is not supported for shared folders',
  })
}

const linkField =
  ({ share }: Shared) =>
  (file: FileRow, args: LinkArgs, context: Context) => {
    const { expiresInSeconds } = args
    if (expiresInSeconds < 1 || expiresInSeconds > MAX_LINK_TTL_SECONDS) {
      const message = `must be 1 to ${MAX_LINK_TTL_SECONDS} seconds`
      throw new InvalidInput({ path: ['expiresInSeconds'], message })
    }
    return sharedDownloadUrl(context, share, file, args)
  }

const versionFields: FieldPolicy[string] = {
  ...plain('id', 'number', 'size', 'mediaType', 'sha256', 'comment'),
  ...plain('createdAt', 'contentModifiedAt'),
  createdBy: hidden,
  isCurrent: (_: VersionRow) => true,
}
