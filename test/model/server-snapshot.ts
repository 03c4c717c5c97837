import type { TestServer } from '../support/test-server.ts'
import type { World } from './model-state.ts'
import { isLive, pathOf } from './tree.ts'

type SeenVersion = {
  id: string
  number: number
  size: number
  sha256: string
  comment: string | null
}
export type SeenEntry = {
  __typename: 'File' | 'Folder'
  id: string
  name: string
  path: string
  revision: number
  description: string | null
  metadata: Record<string, unknown>
  parent: { id: string } | null
  tags: { name: string }[]
  versions?: { nodes: SeenVersion[] }
  totals?: { bytes: number; fileCount: number; folderCount: number }
}
type SeenUpload = {
  id: string
  name: string
  size: number | null
  offset: number
  status: string
  file: { id: string } | null
}
export type SeenTable = {
  name: string
  rows: { nodes: { values: any; files: { column: string; file: { id: string } | null }[] }[] }
}
type InWorkspace = { workspace: number }

/** What the server says that there is. */
export type Seen = {
  living: (SeenEntry & InWorkspace)[]
  trashed: (SeenEntry & InWorkspace)[]
  tags: ({ id: string; name: string; color: string | null } & InWorkspace)[]
  uploads: (SeenUpload & InWorkspace)[]
  shares: ({
    id: string
    entry: { id: string }
    maxDownloads: number | null
    downloadCount: number
  } & InWorkspace)[]
  tables: (SeenTable & InWorkspace)[]
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

/** Reads everything. */
export async function see(holdall: TestServer, { workspaces }: World): Promise<Seen> {
  const parts = await Promise.all(
    workspaces.map(({ id }, index) => seeWorkspace(holdall, id, index)),
  )
  const all = <K extends keyof Seen>(kind: K) => parts.flatMap((part) => part[kind]) as Seen[K]
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

async function seeWorkspace(holdall: TestServer, id: string, index: number): Promise<Seen> {
  const { workspace: seen } = await holdall.ask(workspace, { id })
  const here = <T>(things: T[]) => things.map((thing) => ({ ...thing, workspace: index }))
  const uploads = new Map(
    [...seen.newest.nodes, ...seen.open.nodes].map((one: SeenUpload) => [one.id, one]),
  )
  return {
    living: here([seen.root, ...(await pagesOf(holdall, id))]),
    trashed: here(await withBelow(holdall, seen.trash.nodes)),
    tags: here(seen.tags.nodes),
    uploads: here([...uploads.values()]),
    shares: here(seen.shareLinks.nodes),
    tables: here(seen.tables),
    usages: [seen.usage],
  }
}

async function pagesOf(holdall: TestServer, id: string): Promise<SeenEntry[]> {
  const entries: SeenEntry[] = []
  for (let after: string | null = null, pages = 0; pages < 20; pages++) {
    const asked: any = await holdall.ask(page, { id, after })
    const { nodes, pageInfo } = asked.workspace.entries
    entries.push(...nodes)
    if (!pageInfo.hasNextPage) return entries
    after = pageInfo.endCursor
  }
  throw new Error('the list of entries has no end')
}

/** What went to the trash with these, too. */
async function withBelow(holdall: TestServer, roots: SeenEntry[]): Promise<SeenEntry[]> {
  const ids = roots.filter(({ __typename }) => __typename === 'Folder').map(({ id }) => id)
  if (ids.length === 0) return roots
  const nodes: any[] = []
  for (let i = 0; i < ids.length; i += 20)
    nodes.push(...(await holdall.ask(folders, { ids: ids.slice(i, i + 20) })).nodes)
  const below = nodes.flatMap((node) => node?.children.nodes ?? [])
  return [...roots, ...(await withBelow(holdall, below))]
}

/** Reads only what is new, where that is enough to know the ids of all that is in the world. */
export async function seeNew(holdall: TestServer, world: World): Promise<Seen> {
  const unknown = [...world.entries.values()].filter(
    ({ id, versions }) => id === null || versions.some((version) => version.id === null),
  )
  if (unknown.length > 40 || unknown.some((entry) => !isLive(world, entry)))
    return see(holdall, world)
  const parts = await Promise.all(
    world.workspaces.map(async ({ id }, index) => {
      const own = unknown.filter(({ workspace }) => workspace === index)
      const paths = own.map((entry) => pathOf(world, entry))
      const named = paths.map(
        (path, i) => `e${i}: entryByPath(path: ${JSON.stringify(path)}) { ...E }`,
      )
      const query = `query ($id: ID!) { workspace(by: { id: $id }) { tags(first: 100) { nodes { id name color } } ${named.join(' ')} } } ${named.length > 0 ? entry : ''}`
      const { tags, ...entries } = (await holdall.ask(query, { id })).workspace
      const here = <T>(things: T[]) => things.map((thing) => ({ ...thing, workspace: index }))
      return {
        living: here(Object.values<any>(entries).filter(Boolean)),
        tags: here<any>(tags.nodes),
      }
    }),
  )
  const [living, tags] = [parts.flatMap((part) => part.living), parts.flatMap((part) => part.tags)]
  return { living, tags, trashed: [], uploads: [], shares: [], tables: [], usages: [] }
}
