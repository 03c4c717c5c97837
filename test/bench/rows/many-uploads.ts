import { serverAt } from '../../support/servers/server-at.ts'
import { fillMany, MIB } from '../curl.ts'
import { layOut } from '../library.ts'
import { ADMIN_TOKEN, graphqlRequest } from '../question.ts'
import { gathering, holdallSink, type Sink, stockBeside, timeOf } from '../sinks.ts'
import type { Line, Row } from '../table.ts'
import { measureInTurns, memoryBacked, newFolder } from '../turns.ts'
import { openLine, type Request } from '../wire.ts'
import { speed } from './one-upload.ts'

const [COUNT, SIZE] = [16, 64 * MIB]
const CONNECTIONS = 4
/** How often the uploads are repeated per round, so that there are enough pages for a p99. */
const WAVES = 3

/** Measures 16 concurrent uploads of 64 MiB, and the latency of GraphQL meanwhile. */
export const manyUploads: Row = {
  name: 'P3',
  async measure(rounds) {
    await using folder = await newFolder(memoryBacked)
    const files = await fillMany(folder.path, COUNT, SIZE)
    return [await besideBare(files, rounds), await pagesMeanwhile(files, rounds)]
  },
}

async function besideBare(files: string[], rounds: number): Promise<Line> {
  await using holdall = await holdallSink(memoryBacked)
  await using bare = await gathering(memoryBacked)
  const seconds = await measureInTurns(rounds, {
    ours: async () => (await timeOf(holdall, files)).seconds,
    theirs: async () => (await timeOf(bare, files)).seconds,
  })
  const megabytes = await holdall.program.peakMegabytes()
  return speed('16 uploads of 64 MiB at once', seconds, 'bare node:http', 0.75, megabytes)
}

async function pagesMeanwhile(files: string[], rounds: number): Promise<Line> {
  await using holdall = await holdallSink(memoryBacked)
  await using stock = await stockBeside(memoryBacked)
  const [ours, theirs] = [await beginPages(holdall, files), await beginPages(stock, files)]
  await measureInTurns(rounds, { ours: ours.round, theirs: theirs.round })
  const [slow, slowBesideStock] = [ours.p99(), theirs.p99()]
  return {
    work: 'p99 of a page of 20 of 100,000 meanwhile, 4 connections',
    ours: `${slow.toFixed(1)} ms, ${ours.perSecond()} /s`,
    theirs: `${slowBesideStock.toFixed(1)} ms, ${theirs.perSecond()} /s, beside stock tus`,
    ratio: slow / slowBesideStock,
    target: { atMost: 1 },
  }
}

/** Requests pages from `sink` during the uploads; returns the figures of all rounds. */
async function beginPages(sink: Sink, files: string[]) {
  const holdall = serverAt(sink.program.url, ADMIN_TOKEN)
  const { large } = await layOut({ ...sink.program, holdall }, { DATA_DIR: sink.dir })
  const request = graphqlRequest(sink.program.url, page, { id: large })
  const took: number[] = []
  let seconds = 0
  return {
    async round() {
      let over = false
      const requesting = requestUntil(request, took, () => over)
      for (let wave = 0; wave < WAVES; wave++) seconds += (await timeOf(sink, files)).seconds
      over = true
      await requesting
      return seconds
    },
    p99: () => took.toSorted((a, b) => a - b)[Math.floor(took.length * 0.99)] ?? Number.NaN,
    perSecond: () => Math.round(took.length / seconds),
  }
}

const page = `query ($id: ID!) { node(id: $id) { ... on Folder { children(first: 20) {
  nodes { id name updatedAt tags { name } ... on File { size } } } } } }`

async function requestUntil(request: Request, took: number[], over: () => boolean) {
  const connection = async () => {
    using line = await openLine(request)
    while (!over()) {
      const from = performance.now()
      await line.send()
      took.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, connection))
}
