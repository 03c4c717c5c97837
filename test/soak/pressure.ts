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
import { startServer } from '../support/fleet.ts'
import { mapConcurrently } from '../support/pooled.ts'
import { rawPatch } from '../support/tus.ts'
import { downUp } from './large-file.ts'
import type { Asking } from './load-client.ts'

/** How much of each is asked for at once, or in all. */
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

/** What must hold under the full load, on two cores that the clients share. */
const MOST_P99_MS = 300
const MOST_MEMORY_MB = 1_024

/** One round of all phases, whatever the time; throws where somebody waited too long or memory grew. */
export async function pressure(_: { seed: number; until: number }) {
  const figures = await press(fullLoad)
  for (const [what, figure] of Object.entries(figures)) {
    const most = what.includes('p99') ? MOST_P99_MS : MOST_MEMORY_MB
    if (figure > most) throw new Error(`${what}: ${figure}, and ${most} is the most`)
  }
  return figures
}

/** All phases on SQLite and disk with so much of each; for each the p99 of GraphQL meanwhile and the most memory so far. */
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

/** The p99 of a page of twenty while `story` goes on, in ms. */
async function meanwhile({ server, workspace }: Place, story: () => Promise<void>) {
  const { url } = server.holdall
  const query = `{ node(id: "${workspace.root.id}") { ... on Folder { children(first: 20) {
    nodes { id name updatedAt tags { name } ... on File { size } } } } } }`
  const asking: Asking = { url, token, query }
  const asker = new Worker(new URL('load-client.ts', import.meta.url), { workerData: asking })
  const failed = once(asker, 'error').then(([error]) => Promise.reject(error))
  await Promise.race([story(), failed])
  asker.postMessage('enough')
  const [took] = (await Promise.race([once(asker, 'message'), failed])) as [number[]]
  took.sort((a, b) => a - b)
  return Math.round(took[Math.floor(0.99 * (took.length - 1))] ?? 0)
}

/** A byte a second from each; then all is there. */
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
    // A machine that took its time made them trickle for longer than the house bears: they go on as every client does.
    if (status === 423) await sendBytes(holdall, upload, 'x'.repeat(seconds - offset), offset)
    else if (status !== 204) throw new Error(`a byte a second was answered ${status}`)
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

/** All bytes are on their way at once; who asks for uploads and confirms them comes a few at a time, as people do. */
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
