import { join } from 'node:path'
import { startServer } from '../../support/servers/fleet.ts'
import { startProgram } from '../../support/servers/program.ts'
import { EACH, FOLDERS, layOut } from '../library.ts'
import { ADMIN_TOKEN, graphqlRequest } from '../question.ts'
import type { Line, Row } from '../table.ts'
import { measureInTurns, newFolder } from '../turns.ts'
import { bodyOf, type Request, requestsPerSecond } from '../wire.ts'

const target = { atLeast: 0.5 }
const peer = join(import.meta.dirname, '../peers/pages.ts')

export const pages: Row = {
  name: 'P6',
  measure: (rounds) =>
    withLibrary({}, async ({ one, bareOne }) => [
      await compare('a page of 20 of 100,000, SQLite', { ours: one, theirs: bareOne, rounds }),
    ]),
}

export const nestedPages: Row = {
  name: 'P7',
  measure: (rounds) =>
    withLibrary({}, async ({ nested, bareNested }) => [
      await compare(`a page of ${FOLDERS} folders, ${EACH} children each, with tags`, {
        ours: nested,
        theirs: bareNested,
        rounds,
        requests: FOLDERS + 1,
      }),
    ]),
}

type Pair = { ours: Request; theirs: Request; rounds: number; requests?: number }

/**
 * Compares requests per second. If the other side needs several requests for the same data, they count as
 * one.
 */
export async function compare(work: string, pair: Pair): Promise<Line> {
  const { ours, theirs, rounds, requests = 1 } = pair
  await checkSame(pair)
  const rates = await measureInTurns(rounds, {
    ours: () => requestsPerSecond(ours),
    theirs: async () => (await requestsPerSecond(theirs)) / requests,
  })
  return {
    work,
    ours: `${rates.ours.toFixed(0)} /s`,
    theirs: `${rates.theirs.toFixed(0)} /s, a bare server`,
    ratio: rates.ours / rates.theirs,
    target,
  }
}

async function checkSame({ ours, theirs, requests }: Pair) {
  const [one, other] = [await bodyOf(ours), await bodyOf(theirs)]
  if (requests === undefined && one !== other) throw new Error(`not the same: ${one} ${other}`)
  if (one.includes('"errors"')) throw new Error(one)
}

type Library = { one: Request; bareOne: Request; nested: Request; bareNested: Request }

/**
 * Starts a server with a library, and a bare server over the same rows; on SQLite unless `env` names another
 * database.
 */
export async function withLibrary<T>(
  env: { DATABASE_URL?: string },
  work: (library: Library) => Promise<T>,
): Promise<T> {
  await using folder = await newFolder()
  const all = { DATA_DIR: folder.path, ...env }
  await using server = await startServer({ ...all, ADMIN_TOKEN })
  const { large, nested, folder: one } = await layOut(server, all)
  await using bare = await startProgram(
    [peer, env.DATABASE_URL ?? join(folder.path, 'holdall.db')],
    {},
  )
  const ask = (query: string) => graphqlRequest(server.url, query)
  return await work({
    one: ask(pageOf(large, 20, fields)),
    bareOne: { url: `${bare.url}/${large}?file&20` },
    nested: ask(pageOf(nested, FOLDERS, `id name ... on Folder { ${children(EACH, fields)} }`)),
    bareNested: { url: `${bare.url}/${one}?file&${EACH}` },
  })
}

const fields = 'id name updatedAt tags { name } ... on File { size }'
const children = (first: number, selection: string) =>
  `children(first: ${first}) { nodes { ${selection} } }`
const pageOf = (id: string, first: number, selection: string) =>
  `{ node(id: "${id}") { ... on Folder { ${children(first, selection)} } } }`
