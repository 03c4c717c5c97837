import type { WorkspaceHandle } from '../../support/client.ts'
import { startServer } from '../../support/servers/fleet.ts'
import { medianMilliseconds, queryData } from '../growth/asking.ts'
import { grow, workspaces } from '../growth/grown.ts'
import { graphqlRequest } from '../question.ts'
import type { Line, Row } from '../table.ts'
import type { Request } from '../wire.ts'

const WORKSPACES = Number(process.env.BENCH_WORKSPACES ?? 100)
const EACH = 50_000
const FEW = 500
/** Including the folder itself. */
const PER_FOLDER = 100
const REQUESTS = 40
const target = { atMost: 2 }

const found = 'nodes { id name path ... on File { size } }'
const entries = (filter: string) => `entries(first: 20, filter: { ${filter} }) { ${found} }`

/**
 * The queries, with the names that planting.ts uses. `scansWorkspace`: reads all rows of a workspace, so that
 * its size matters.
 */
const cases: { work: string; selection: string; scansWorkspace?: true }[] = [
  { work: 'search for a rare word', selection: `search(query: "needle") { ${found} }` },
  {
    work: 'search for the beginning of a common word',
    selection: `search(query: "rep") { ${found} }`,
  },
  { work: 'search for two words', selection: `search(query: "needle csv") { ${found} }` },
  { work: 'pathPrefix, a folder', selection: entries('pathPrefix: "series-0000000/"') },
  { work: 'pathPrefix, half a name', selection: entries('pathPrefix: "series-0000000/needle"') },
  { work: 'pathGlob in a folder', selection: entries('pathGlob: "series-0000000/**/*-*.csv"') },
  {
    work: 'pathGlob anywhere',
    selection: entries('pathGlob: "**/needle-*.csv"'),
    scansWorkspace: true,
  },
]

type Library = { url: string; all: readonly WorkspaceHandle[] }

/**
 * Compares search, prefix and glob in a hundred workspaces of 50,000 entries with one such workspace alone,
 * and with a hundred of 500.
 */
export const finding: Row = {
  name: 'P9',
  async measure(rounds) {
    await using many = await library(WORKSPACES, EACH)
    await using one = await library(1, EACH)
    await using small = await library(WORKSPACES, FEW)
    const lines: Line[] = []
    for (const testCase of cases) {
      const others = testCase.scansWorkspace ? [one] : [one, small]
      for (const other of others) lines.push(await compare(testCase, { many, other, rounds }))
    }
    return lines
  },
}

async function library(count: number, each: number) {
  await using stack = new AsyncDisposableStack()
  const folders = each / PER_FOLDER
  const grown = stack.use(
    await grow(async (server) => {
      const all = await workspaces(server, count)
      const plots = all.map(({ id, root }) => ({
        ...{ workspaceId: id, folderId: root.id, folders, files: PER_FOLDER - 1, needles: 5 },
      }))
      return { plots, known: all }
    }),
  )
  const { url } = stack.use(await startServer(grown.env))
  const open = stack.move()
  const name = `${(count * each).toLocaleString('en')} in ${count}`
  return { url, all: grown.known, name, [Symbol.asyncDispose]: () => open.disposeAsync() }
}

type Named = Library & { name: string }

async function compare(
  { work, selection }: (typeof cases)[number],
  { many, other, rounds }: { many: Named; other: Named; rounds: number },
): Promise<Line> {
  const questions = { many: questionsTo(many, selection), other: questionsTo(other, selection) }
  const [first, second] = [await sizeOf(questions.many), await sizeOf(questions.other)]
  if (first !== second || first === 0) throw new Error(`${work}: ${first} and ${second} found`)
  const took = await medianMilliseconds(rounds * REQUESTS, questions)
  return {
    work: `${work}, ${first} found`,
    ours: `${took.many.toFixed(2)} ms, ${many.name} workspaces`,
    theirs: `${took.other.toFixed(2)} ms, ${other.name}`,
    ratio: took.many / took.other,
    target,
  }
}

/** Rotates over ten workspaces, so that no single one is cached. */
const questionsTo = ({ url, all }: Library, selection: string): Request[] =>
  Array.from({ length: 10 }, (_, n) => {
    const { id } = all[Math.floor((n * all.length) / 10)] as WorkspaceHandle
    return graphqlRequest(url, `{ workspace(by: { id: "${id}" }) { found: ${selection} } }`)
  })

const sizeOf = async ([request]: Request[]): Promise<number> =>
  (await queryData(request as Request)).workspace.found.nodes.length
