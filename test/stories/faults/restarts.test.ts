import { spawn } from 'node:child_process'
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import {
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  type UploadHandle,
} from '../../support/client.ts'
import { runFsck } from '../../support/inspection.ts'
import { markHandled } from '../../support/mark-handled.ts'
import { freePort } from '../../support/network/free-port.ts'
import { tusOf } from '../../support/network/tus.ts'
import { root } from '../../support/project-root.ts'
import { databaseOf, emptyFolder, startProcess } from '../../support/servers/process.ts'
import { serverAt } from '../../support/servers/server-at.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

const ADMIN_TOKEN = 'stopped-and-started-again'
const KIB = 1024

/** One folder and one port for successive processes. */
async function openPlace() {
  const dir = await emptyFolder()
  const port = await freePort()
  const env = {
    DATA_DIR: dir,
    PORT: `${port}`,
    ADMIN_TOKEN,
    LOG_LEVEL: 'error',
    DRAIN_SECONDS: '0',
  }
  const holdall = serverAt(`http://127.0.0.1:${port}`, ADMIN_TOKEN)
  const { DATABASE_URL: databaseUrl } = databaseOf(dir)
  const fsck = () => runFsck({ ...holdall, dir, databaseUrl } as TestServer, '--deep')
  return { holdall, start: () => startProcess(env), env, fsck }
}

type Traffic = { stop: AbortSignal; answers: Map<string, number> }

/** Counts the response, and checks that a closing server may give it; null if there was none. */
async function ask({ answers }: Traffic, requested: Promise<Response>): Promise<Response | null> {
  const answer = await requested.catch(() => null)
  const output = answer === null ? 'none' : `${answer.status}`
  answers.set(output, (answers.get(output) ?? 0) + 1)
  if (answer === null) return null
  expect([200, 204, 409, 423, 503]).toContain(answer.status)
  if (answer.status === 503 || answer.status === 423) {
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  }
  return answer
}

/**
 * Sends an upload piece by piece, asks for the offset after anything but a 204, and checks that no
 * confirmed byte is lost.
 */
async function sendAll(traffic: Traffic, holdall: TestServer, upload: UploadHandle, bytes: Buffer) {
  const tus = tusOf(holdall)
  for (let confirmedOffset = 0, at = 0; at < bytes.length; ) {
    traffic.stop.throwIfAborted()
    const piece = bytes.subarray(at, at + 128 * KIB)
    const answer = await ask(traffic, tus.patch(upload.url, at, piece))
    if (answer?.status === 204) {
      at = Number(answer.headers.get('upload-offset'))
      confirmedOffset = at
      await sleep(30)
      continue
    }
    await sleep(20)
    const head = await ask(traffic, tus.head(upload.url))
    if (head?.status !== 200) continue
    at = Number(head.headers.get('upload-offset'))
    expect(at).toBeGreaterThanOrEqual(confirmedOffset)
  }
}

/** A client that reads all the time. */
async function readContinuously(traffic: Traffic, holdall: TestServer, isOver: () => boolean) {
  const body = JSON.stringify({ query: '{ viewer { user { name } } }' })
  const headers = { 'content-type': 'application/json' }
  while (!isOver()) {
    traffic.stop.throwIfAborted()
    const answer = await ask(traffic, holdall.http('/graphql', { method: 'POST', headers, body }))
    await answer?.arrayBuffer()
    await sleep(15)
  }
}

test('F20: stopped and started ten times under traffic: each stop is clean, and clients continue', async () => {
  const { holdall, start, fsck } = await openPlace()
  let server = await start()
  const { id: workspaceId } = await createWorkspace(holdall)
  const files = await Promise.all(
    [1, 2, 3].map(async (i) => {
      const bytes = randomBytes(8_000 * KIB + i)
      const input = { workspaceId, name: `${i}.bin`, size: bytes.length }
      return { bytes, upload: await createUpload(holdall, input) }
    }),
  )
  const traffic = { stop: AbortSignal.timeout(120_000), answers: new Map<string, number>() }
  let storm = true
  const looking = readContinuously(traffic, holdall, () => !storm)
  const sending = files.map(({ upload, bytes }) => sendAll(traffic, holdall, upload, bytes))
  const all = markHandled(Promise.all([looking, ...sending]))

  for (let i = 0; i < 10; i += 1) {
    await sleep(randomInt(50, 200))
    const askedAt = performance.now()
    expect((await server.stop()).err).toBe('')
    expect(performance.now() - askedAt).toBeLessThan(10_000)
    server = await start()
  }
  storm = false
  await all
  for (const { bytes, upload } of files) {
    const { id } = await confirmUpload(holdall, { uploadId: upload.id })
    expect(digest(await download(holdall, id))).toBe(digest(bytes))
  }
  expect((await server.stop()).err).toBe('')
  expect(await fsck()).toMatchObject({ code: 0 })
  expect([...traffic.answers.keys()]).toEqual(expect.arrayContaining(['200', '204', 'none']))
}, 150_000)

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

test('F20: stopped during its start, it leaves a folder that the next start opens', async () => {
  const { start, fsck, env } = await openPlace()
  for (const ms of [50, 250, 600]) {
    const vars = { ...databaseOf(env.DATA_DIR), ...env }
    const child = spawn(process.execPath, ['src/main.ts'], {
      cwd: root,
      env: vars,
      stdio: 'ignore',
    })
    const ended = once(child, 'exit')
    await sleep(ms)
    child.kill('SIGTERM')
    expect([
      [0, null],
      [null, 'SIGTERM'],
    ]).toContainEqual(await ended)
  }
  await (await start()).stop()
  expect(await fsck()).toMatchObject({ code: 0 })
}, 60_000)
