import { createFolder } from '../../support/client.ts'
import { startServer } from '../../support/servers/fleet.ts'
import { medianMilliseconds, queryData } from '../growth/asking.ts'
import { grow, workspaces } from '../growth/grown.ts'
import { graphqlRequest } from '../question.ts'
import type { Line, Row } from '../table.ts'

const ENTRIES = Number(process.env.BENCH_FAR_PAGES ?? 1_000_000)
const FEW = 1000
const PAGE = 20
const FAR = 4000
/** How often each page is requested per round. */
const REQUESTS = 40
const target = { atMost: 1.3 }

type TestServer = { url: string; folderId: string }
type Order = { field: string; direction: string }
const orders = ['NAME', 'SIZE', 'CREATED_AT', 'UPDATED_AT'].flatMap((field) =>
  ['ASC', 'DESC'].map((direction) => ({ field, direction })),
)

/**
 * Compares the first page, page 4,000 and the last page of a folder of a million with the first page of a
 * folder of a thousand, in each order.
 */
export const farPages: Row = {
  name: 'P8',
  async measure(rounds) {
    await using large = await oneFolder(ENTRIES)
    await using small = await oneFolder(FEW)
    await using far = await startServer(large.env)
    await using near = await startServer(small.env)
    const servers = {
      far: { url: far.url, folderId: large.known },
      near: { url: near.url, folderId: small.known },
    }
    for (const holdall of Object.values(servers)) await warmUp(holdall)
    const lines: Line[] = []
    for (const order of orders) lines.push(await compare(servers, order, rounds))
    return lines
  },
}

const oneFolder = (files: number) =>
  grow(async (server) => {
    const [workspace] = await workspaces(server, 1)
    const workspaceId = workspace?.id ?? ''
    const { id: folderId } = await createFolder(server.holdall, { workspaceId, name: 'large' })
    return { plots: [{ workspaceId, folderId, folders: 0, files }], known: folderId }
  })

async function compare(
  { far, near }: { far: TestServer; near: TestServer },
  order: Order,
  rounds: number,
): Promise<Line> {
  const behind = await endOfPage(far, order, Math.min(FAR, ENTRIES / PAGE) - 1)
  const pages = [`first: ${PAGE}`, `first: ${PAGE}, after: "${behind}"`, `last: ${PAGE}`]
  const ours: number[] = []
  const theirs: number[] = []
  for (const span of pages) {
    const took = await medianMilliseconds(rounds * REQUESTS, {
      near: [pageOf(near, order, pages[0])],
      far: [pageOf(far, order, span)],
    })
    ours.push(took.far)
    theirs.push(took.near)
  }
  return {
    work: `page 1, page ${count(FAR)} and the last page of ${count(ENTRIES)}, ${order.field} ${order.direction}`,
    ours: `${ours.map((ms) => ms.toFixed(2)).join(', ')} ms`,
    theirs: `${theirs.map((ms) => ms.toFixed(2)).join(', ')} ms, page 1 of ${count(FEW)}`,
    ratio: Math.max(...ours.map((ms, i) => ms / (theirs[i] ?? 0))),
    target,
  }
}

/** Runs the code often enough for the JIT compiler. */
const warmUp = (holdall: TestServer) =>
  medianMilliseconds(1500, {
    all: orders.map((order) => pageOf(holdall, order, `first: ${PAGE}`)),
  })

const count = (n: number) => n.toLocaleString('en')

const fields = 'nodes { id name updatedAt tags { name } ... on File { size } }'
const pageOf = ({ url, folderId }: TestServer, order: Order, span = '', selection = fields) =>
  graphqlRequest(
    url,
    `{ node(id: "${folderId}") { ... on Folder { children(
      orderBy: { field: ${order.field}, direction: ${order.direction} }, ${span}
    ) { ${selection} } } } }`,
  )

/** Returns the cursor at the end of a page, reached page by page in larger steps. */
async function endOfPage(holdall: TestServer, order: Order, page: number): Promise<string> {
  let cursor = ''
  for (let left = page * PAGE; left > 0; left -= 100) {
    const span = `first: ${Math.min(100, left)}${cursor && `, after: "${cursor}"`}`
    const request = pageOf(holdall, order, span, 'pageInfo { endCursor }')
    cursor = (await queryData(request)).node.children.pageInfo.endCursor
  }
  return cursor
}
