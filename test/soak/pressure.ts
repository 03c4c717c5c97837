import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import {
  confirmUpload,
  createUpload,
  createWorkspace,
  sendBytes,
  uploadFile,
  type WorkspaceHandle,
} from '../support/client.ts'
import { rawPatch } from '../support/network/tus.ts'
import { startServer } from '../support/servers/fleet.ts'
import { mapConcurrently } from '../support/servers/pooled.ts'
import { downUp } from './large-file.ts'
import type { LoadOptions } from './load-client.ts'

/** The amounts of each phase, concurrent or in total. */
type Load = {
  trickles: number
  seconds: number
  files: number
  uploads: number
  bytes: number
}
const fullLoad: Load = {
  trickles: 1_000,
  seconds: 20,
  files: 10_000,
  uploads: 200,
  bytes: 4 * 1024 ** 3,
}

type Server = Awaited<ReturnType<typeof startServer>>
type Place = { server: Server; workspace: WorkspaceHandle; load: Load }
const MIB = 1024 ** 2
const token = 'pressed-from-all-sides'

/** The limits under the full load, on two cores shared with the clients. */
const MAX_P99_MS = 300
const MAX_MEMORY_MB = 1_024

/**
 * Runs one round of all phases, whatever `until` is; throws if the p99 latency or the memory exceeds its
 * limit.
 */
export async function pressure(_: { seed: number; until: number }) {
  const figures = await press(fullLoad)
  for (const [what, figure] of Object.entries(figures)) {
    const limit = what.includes('p99') ? MAX_P99_MS : MAX_MEMORY_MB
    if (figure > limit) throw new Error(`${what}: ${figure} (limit ${limit})`)
  }
  return figures
}

/**
 * Runs all phases on SQLite and disk with the given load; returns the p99 of GraphQL and the peak memory of
 * each.
 */
export async function press(load: Load): Promise<Record<string, number>> {
  await using stack = new AsyncDisposableStack()
  const DATA_DIR = await mkdtemp(join(tmpdir(), 'holdall-pressure-'))
  stack.defer(() => rm(DATA_DIR, { recursive: true, force: true }))
  const server = stack.use(await startServer({ DATA_DIR, ADMIN_TOKEN: token }))
  const place = { server, workspace: await createWorkspace(server.holdall), load }
  const figures: Record<string, number> = {}
  await meanwhile(place, () => wait(1_000))
  for (const [name, phase] of Object.entries(phases)) {
    figures[`${name}: p99 of GraphQL, ms`] = await meanwhile(place, () => phase(place))
    figures[`${name}: memory at most, MB`] = Math.round(await server.peakMegabytes())
  }
  return figures
}

const phases: Record<string, (place: Place) => Promise<void>> = {
  'connections that trickle': trickle,
  'small files': smallFiles,
  'uploads at once': manyUploads,
  'one large file up and down': ({ server, workspace, load }) =>
    downUp(server.holdall, workspace.id, load.bytes),
}

/** Returns the p99 in ms of a page of twenty entries while `work` runs. */
async function meanwhile({ server, workspace }: Place, work: () => Promise<void>) {
  const { url } = server.holdall
  const query = `{ node(id: "${workspace.root.id}") { ... on Folder { children(first: 20) {
    nodes { id name updatedAt tags { name } ... on File { size } } } } } }`
  const options: LoadOptions = { url, token, query }
  const loadClient = new Worker(new URL('load-client.ts', import.meta.url), { workerData: options })
  const failed = once(loadClient, 'error').then(([error]) => Promise.reject(error))
  await Promise.race([work(), failed])
  loadClient.postMessage('stop')
  const [took] = (await Promise.race([once(loadClient, 'message'), failed])) as [number[]]
  took.sort((a, b) => a - b)
  return Math.round(took[Math.floor(0.99 * (took.length - 1))] ?? 0)
}

/** Sends one byte per second on each connection, then confirms the uploads. */
async function trickle({ server, workspace, load }: Place) {
  const { holdall } = server
  const { trickles, seconds } = load
  const all = await mapConcurrently(trickles, 32, async (n) => {
    const input = { workspaceId: workspace.id, name: `trickle ${n}`, size: seconds }
    const upload = await createUpload(holdall, input)
    return { upload, patch: await rawPatch(holdall, upload.url, 0, seconds) }
  })
  for (let second = 0; second < seconds; second++) {
    const next = wait(1_000)
    await Promise.all(all.map(({ patch }) => patch.write('x')))
    await next
  }
  await mapConcurrently(trickles, 32, async (n) => {
    const { upload, patch } = all[n] as (typeof all)[number]
    const { status, headers } = await patch.answer()
    patch.socket.destroy()
    const offset = Number(headers.get('upload-offset'))
    // On a slow machine the trickle may exceed the server's timeout: the client then resumes.
    if (status === 423) await sendBytes(holdall, upload, 'x'.repeat(seconds - offset), offset)
    else if (status !== 204) throw new Error(`the response to one byte per second was ${status}`)
    await confirmUpload(holdall, { uploadId: upload.id })
  })
}

async function smallFiles({ server, workspace, load }: Place) {
  await mapConcurrently(load.files, 16, (n) =>
    uploadFile(server.holdall, {
      workspaceId: workspace.id,
      name: `small ${n}`,
      bytes: `${n}`.padEnd(4_096),
    }),
  )
}

/** Sends all bytes concurrently, but creates and confirms the uploads a few at a time, as users do. */
async function manyUploads({ server, workspace, load }: Place) {
  const bytes = randomBytes(4 * MIB)
  const uploads = await mapConcurrently(load.uploads, 4, (n) =>
    createUpload(server.holdall, {
      workspaceId: workspace.id,
      name: `at once ${n}`,
      size: bytes.length,
    }),
  )
  await Promise.all(uploads.map((upload) => sendBytes(server.holdall, upload, bytes)))
  await mapConcurrently(load.uploads, 4, (n) =>
    confirmUpload(server.holdall, { uploadId: uploads[n]?.id ?? '' }),
  )
}
