import type { TestServer } from '../../support/servers/test-server.ts'
import type { Model } from './model-state.ts'
import { isLive, pathOf } from './tree.ts'

type VersionSnapshot = {
  id: string
  number: number
  size: number
  sha256: string
  comment: string | null
}
export type EntrySnapshot = {
  __typename: 'File' | 'Folder'
  id: string
  name: string
  path: string
  revision: number
  description: string | null
  metadata: Record<string, unknown>
  parent: { id: string } | null
  tags: { name: string }[]
  versions?: { nodes: VersionSnapshot[] }
  totals?: { bytes: number; fileCount: number; folderCount: number }
}
type UploadSnapshot = {
  id: string
  name: string
  size: number | null
  offset: number
  status: string
  file: { id: string } | null
}
export type TableSnapshot = {
  name: string
  rows: { nodes: { values: any; files: { column: string; file: { id: string } | null }[] }[] }
}
type InWorkspace = { workspace: number }

/** The state of the server, as the API returns it. */
export type Snapshot = {
  living: (EntrySnapshot & InWorkspace)[]
  trashed: (EntrySnapshot & InWorkspace)[]
  tags: ({ id: string; name: string; color: string | null } & InWorkspace)[]
  uploads: (UploadSnapshot & InWorkspace)[]
  shares: ({
    id: string
    entry: { id: string }
    maxDownloads: number | null
    downloadCount: number
  } & InWorkspace)[]
  tables: (TableSnapshot & InWorkspace)[]
  usages: Record<string, unknown>[]
}

const entry = `fragment E on Entry {
  __typename id name path revision description metadata parent { id } tags { name }
  ... on File { versions(first: 100) { nodes { id number size sha256 comment } } }
  ... on Folder { totals { bytes fileCount folderCount } }
}`
const upload = 'nodes { id name size offset status file { id } }'
const workspace = `query ($id: ID!) { workspace(by: { id: $id }) {
  root { ...E }
  usage { currentBytes olderVersionBytes trashedBytes reservedBytes storedBytes quotaBytes fileCount folderCount }
  tags(first: 100) { nodes { id name color } }
  trash(first: 100) { nodes { ...E } }
  newest: uploads(first: 30) { ${upload} }
  open: uploads(first: 100, status: [CREATED, RECEIVING, RECEIVED, PROCESSING]) { ${upload} }
  shareLinks(first: 100) { nodes { id entry { id } maxDownloads downloadCount } }
  tables { name rows(first: 100) { nodes { values files { column file { id } } } } }
} } ${entry}`
const page = `query ($id: ID!, $after: String) { workspace(by: { id: $id }) {
  entries(first: 100, after: $after) { nodes { ...E } pageInfo { hasNextPage endCursor } }
} } ${entry}`
const folders = `query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Folder {
  children(first: 100) { nodes { ...E } }
} } } ${entry}`

/** Reads the whole state. */
export async function takeSnapshot(holdall: TestServer, { workspaces }: Model): Promise<Snapshot> {
  const parts = await Promise.all(
    workspaces.map(({ id }, index) => readWorkspace(holdall, id, index)),
  )
  const all = <K extends keyof Snapshot>(kind: K) =>
    parts.flatMap((part) => part[kind]) as Snapshot[K]
  return {
    living: all('living'),
    trashed: all('trashed'),
    tags: all('tags'),
    uploads: all('uploads'),
    shares: all('shares'),
    tables: all('tables'),
    usages: all('usages'),
  }
}

async function readWorkspace(holdall: TestServer, id: string, index: number): Promise<Snapshot> {
  const { workspace: snapshot } = await holdall.ask(workspace, { id })
  const inWorkspace = <T>(objects: T[]) =>
    objects.map((object) => ({ ...object, workspace: index }))
  const uploads = new Map(
    [...snapshot.newest.nodes, ...snapshot.open.nodes].map((upload: UploadSnapshot) => [
      upload.id,
      upload,
    ]),
  )
  return {
    living: inWorkspace([snapshot.root, ...(await pagesOf(holdall, id))]),
    trashed: inWorkspace(await withDescendants(holdall, snapshot.trash.nodes)),
    tags: inWorkspace(snapshot.tags.nodes),
    uploads: inWorkspace([...uploads.values()]),
    shares: inWorkspace(snapshot.shareLinks.nodes),
    tables: inWorkspace(snapshot.tables),
    usages: [snapshot.usage],
  }
}

async function pagesOf(holdall: TestServer, id: string): Promise<EntrySnapshot[]> {
  const entries: EntrySnapshot[] = []
  for (let after: string | null = null, pages = 0; pages < 20; pages++) {
    const result: any = await holdall.ask(page, { id, after })
    const { nodes, pageInfo } = result.workspace.entries
    entries.push(...nodes)
    if (!pageInfo.hasNextPage) return entries
    after = pageInfo.endCursor
  }
  throw new Error('the list of entries has more than 20 pages')
}

/** Returns the trashed entries with their descendants. */
async function withDescendants(
  holdall: TestServer,
  roots: EntrySnapshot[],
): Promise<EntrySnapshot[]> {
  const ids = roots.filter(({ __typename }) => __typename === 'Folder').map(({ id }) => id)
  if (ids.length === 0) return roots
  const nodes: any[] = []
  for (let i = 0; i < ids.length; i += 20)
    nodes.push(...(await holdall.ask(folders, { ids: ids.slice(i, i + 20) })).nodes)
  const below = nodes.flatMap((node) => node?.children.nodes ?? [])
  return [...roots, ...(await withDescendants(holdall, below))]
}

/** Reads only new entries and tags, if these are enough to assign all ids. */
export async function takePartialSnapshot(holdall: TestServer, model: Model): Promise<Snapshot> {
  const unknown = [...model.entries.values()].filter(
    ({ id, versions }) => id === null || versions.some((version) => version.id === null),
  )
  if (unknown.length > 40 || unknown.some((entry) => !isLive(model, entry)))
    return takeSnapshot(holdall, model)
  const parts = await Promise.all(
    model.workspaces.map(async ({ id }, index) => {
      const own = unknown.filter(({ workspace }) => workspace === index)
      const paths = own.map((entry) => pathOf(model, entry))
      const fields = paths.map(
        (path, i) => `e${i}: entryByPath(path: ${JSON.stringify(path)}) { ...E }`,
      )
      const query = `query ($id: ID!) { workspace(by: { id: $id }) { tags(first: 100) { nodes { id name color } } ${fields.join(' ')} } } ${fields.length > 0 ? entry : ''}`
      const { tags, ...entries } = (await holdall.ask(query, { id })).workspace
      const inWorkspace = <T>(objects: T[]) =>
        objects.map((object) => ({ ...object, workspace: index }))
      return {
        living: inWorkspace(Object.values<any>(entries).filter(Boolean)),
        tags: inWorkspace<any>(tags.nodes),
      }
    }),
  )
  const [living, tags] = [parts.flatMap((part) => part.living), parts.flatMap((part) => part.tags)]
  return { living, tags, trashed: [], uploads: [], shares: [], tables: [], usages: [] }
}
