import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { createFolder } from '../../support/client.ts'
import { startServer } from '../../support/servers/fleet.ts'
import { grow, workspaces } from '../growth/grown.ts'
import { graphqlRequest } from '../question.ts'
import type { Line, Row } from '../table.ts'
import { measureInTurns, secondsOf } from '../turns.ts'
import { openLine } from '../wire.ts'

const FOLDERS = Number(process.env.BENCH_FOLDERS ?? 10_000)
const count = (n: number) => n.toLocaleString('en')
const shape = (folders: number, files: number) => ({
  folders,
  files,
  label: `${count(folders * files)} files in ${count(folders)}`,
})
const shapes = { large: shape(FOLDERS, 100), sparse: shape(FOLDERS, 1), small: shape(10, 100) }
type Name = keyof typeof shapes
const names = Object.keys(shapes) as Name[]

const acts = ['trash', 'restore', 'move'] as const
type Act = (typeof acts)[number]
type Took = Record<Act, Record<Name, number>>
type TestServer = { url: string; ids: Record<Name | 'elsewhere' | 'root', string> }

/**
 * Trashes, restores and moves a folder of a million files: in a second, compared with smaller folders, and
 * with the latency of other requests meanwhile.
 */
export const bigFolders: Row = {
  name: 'P10',
  async measure(rounds) {
    await using grown = await threeFolders()
    await using server = await startServer(grown.env)
    const holdall = { url: server.url, ids: grown.known }
    const held = { trash: 0, restore: 0, move: 0 }
    const took = {} as Took
    for (const act of acts) {
      await measureInTurns(1, tasksOf(holdall, act, { ...held }))
      took[act] = await measureInTurns(rounds, tasksOf(holdall, act, held))
    }
    return acts.flatMap((act) => linesOf(act, took[act], held[act]))
  },
}

const threeFolders = () =>
  grow(async (server) => {
    const [workspace] = await workspaces(server, 1)
    const { id: workspaceId = '', root = { id: '' } } = workspace ?? {}
    const folder = async (name: string) =>
      (await createFolder(server.holdall, { workspaceId, name })).id
    const ids = {
      large: await folder('large'),
      sparse: await folder('sparse'),
      small: await folder('small'),
      elsewhere: await folder('elsewhere'),
      root: root.id,
    }
    const plots = names.map((name) => ({ ...shapes[name], workspaceId, folderId: ids[name] }))
    return { plots, known: ids }
  })

/**
 * Returns functions that measure an act in seconds with each folder and undo it afterwards. The longest
 * latency of other requests is recorded in `held`.
 */
function tasksOf(holdall: TestServer, act: Act, held: Record<Act, number>) {
  const measureAct = (name: Name) => async () => {
    const id = holdall.ids[name]
    if (act === 'restore') await mutate(holdall, mutations.trash(id))
    const wait = longestWait(holdall)
    const seconds = await mutate(holdall, mutations[act](id, holdall.ids.elsewhere))
    held[act] = Math.max(held[act], await wait.end())
    if (act === 'trash') await mutate(holdall, mutations.restore(id))
    if (act === 'move') await mutate(holdall, mutations.move(id, holdall.ids.root))
    return seconds
  }
  return { large: measureAct('large'), sparse: measureAct('sparse'), small: measureAct('small') }
}

const entries = (id: string) => `entries: [{ entry: { id: "${id}" } }]`
const succeeded = (act: Act, type: string, input: string) =>
  `mutation { ${act}Entries(input: { ${input} }) { ... on ${type}EntriesPayload { succeeded } } }`
const mutations = {
  trash: (id: string) => succeeded('trash', 'Trash', `${entries(id)}, recursive: true`),
  restore: (id: string) => succeeded('restore', 'Restore', `entries: [{ entry: { id: "${id}" } }]`),
  move: (id: string, to: string) =>
    succeeded('move', 'Move', `${entries(id)}, folder: { id: "${to}" }`),
}

async function mutate({ url }: TestServer, mutation: string): Promise<number> {
  using line = await openLine(graphqlRequest(url, mutation))
  let answer = ''
  const seconds = await secondsOf(async () => {
    answer = await line.send()
  })
  if (!answer.includes('"succeeded":1')) throw new Error(answer)
  return seconds
}

/** Sends a liveness request every two milliseconds and returns the longest latency in ms. */
function longestWait({ url }: TestServer) {
  const { hostname, port, host } = new URL(url)
  let isOver = false
  const probing = async () => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    await once(socket, 'connect')
    let longest = 0
    while (!isOver) {
      socket.write(`GET /livez HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
      longest = Math.max(longest, 1000 * (await secondsOf(() => once(socket, 'data'))))
      await sleep(2)
    }
    socket.destroy()
    return longest
  }
  const probe = probing()
  return {
    end() {
      isOver = true
      return probe
    },
  }
}

function linesOf(act: Act, { large, sparse, small }: Record<Name, number>, held: number): Line[] {
  const work = `${act} a folder of ${shapes.large.label} folders`
  const ours = `${large.toFixed(2)} s`
  return [
    {
      work,
      ours,
      theirs: `1 s; ${small.toFixed(3)} s for ${shapes.small.label}`,
      ratio: large,
      target: { atMost: 1 },
    },
    {
      work: `${act}: the files in the folders`,
      ours,
      theirs: `${sparse.toFixed(2)} s for ${shapes.sparse.label}`,
      ratio: large / sparse,
      target: { atMost: 1.3 },
    },
    {
      work: `${act}: longest wait of other requests`,
      ours: `${held.toFixed(0)} ms`,
      theirs: '50 ms',
      ratio: held / 50,
      target: { atMost: 1 },
    },
  ]
}
