import { once } from 'node:events'
import { get } from 'node:http'
import { startServer } from '../../support/servers/fleet.ts'
import { grow, workspaces } from '../growth/grown.ts'
import type { Line, Row } from '../table.ts'
import { measureInTurns, secondsOf } from '../turns.ts'

const ENTRIES = Number(process.env.BENCH_STARTING ?? 1_000_000)
const PER_FOLDER = 100
/** Starts per round; each takes less than a second. */
const STARTS = 3

/**
 * Measures the time from process start to the first response of /readyz, on a database of a million entries
 * and on an empty one.
 */
export const starting: Row = {
  name: 'P12',
  async measure(rounds) {
    await using large = await library(ENTRIES)
    await using empty = await library(0)
    const took = await measureInTurns(rounds * STARTS, {
      large: () => secondsToReady(large.env),
      empty: () => secondsToReady(empty.env),
    })
    return linesOf(took)
  },
}

const library = (entries: number) =>
  grow(async (server) => {
    const [workspace] = await workspaces(server, 1)
    const { id: workspaceId = '', root = { id: '' } } = workspace ?? {}
    const folders = entries / PER_FOLDER
    const plot = { workspaceId, folderId: root.id, folders, files: PER_FOLDER - 1 }
    return { plots: folders > 0 ? [plot] : [], known: null }
  })

const secondsToReady = async (env: { DATA_DIR: string; ADMIN_TOKEN: string }) => {
  await using started = new AsyncDisposableStack()
  return await secondsOf(async () => {
    const { url } = started.use(await startServer(env))
    const [answer] = await once(get(`${url}/readyz`, { agent: false }), 'response')
    if (answer.resume().statusCode !== 200) throw new Error('the server is not ready')
  })
}

function linesOf({ large, empty }: { large: number; empty: number }): Line[] {
  const work = `start to /readyz on ${ENTRIES.toLocaleString('en')} entries`
  const ours = `${large.toFixed(2)} s`
  return [
    {
      work,
      ours,
      theirs: `${empty.toFixed(2)} s, an empty one`,
      ratio: large / empty,
      target: { atMost: 1.2 },
    },
    { work, ours, theirs: '1 s', ratio: large, target: { atMost: 1 } },
  ]
}
