import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { confirmUpload, createUpload, createWorkspace, download } from '../../support/client.ts'
import { freePort } from '../../support/network/free-port.ts'
import { rawPatch, tusOf, until } from '../../support/network/tus.ts'
import { root } from '../../support/project-root.ts'
import { databaseOf, emptyFolder } from '../../support/servers/process.ts'
import { serverAt } from '../../support/servers/server-at.ts'

const token = 'through-every-restart-2028'

/** Restarts a server over one folder and port. */
async function openRestarts() {
  const dir = await emptyFolder()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const vars = {
    PATH: process.env.PATH,
    DATA_DIR: dir,
    PORT: `${port}`,
    ADMIN_TOKEN: token,
    LOG_LEVEL: 'error',
    DRAIN_SECONDS: '0',
  }
  const output = { err: '' }
  let child: ChildProcess | undefined
  onTestFinished(() => void child?.kill('SIGKILL'))
  return {
    output,
    holdall: serverAt(url, token),
    begin() {
      const env = { ...vars, ...databaseOf(dir) }
      child = spawn(process.execPath, ['src/main.ts'], {
        cwd: root,
        env,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      child.stderr?.on('data', (text) => {
        output.err += text
      })
    },
    ready: () =>
      until(async () => (await fetch(`${url}/readyz`).catch(() => null))?.status === 200, 20_000),
    /** Returns its exit code, or the signal that ended it. */
    async end(signal: NodeJS.Signals) {
      if (!child || child.exitCode !== null) return child?.exitCode
      const exited = once(child, 'exit')
      child.kill(signal)
      const [code, by] = await exited
      return code ?? by
    },
  }
}

test('F20: an upload continues through repeated starts and stops, also before the server is ready, without loss', async () => {
  const { holdall, begin, ready, end, output } = await openRestarts()
  begin()
  await ready()
  const { id: workspaceId } = await createWorkspace(holdall)
  const bytes = Buffer.alloc(60_000, 'again and ')
  const upload = await createUpload(holdall, { workspaceId, name: 'a.bin', size: bytes.length })
  let offset = 0
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    const raw = await rawPatch(holdall, upload.url, offset, bytes.length - offset)
    await raw.write(bytes.subarray(offset, offset + 15_000))
    if (signal === 'SIGKILL') {
      // Reported, and so durable, before the process dies.
      await until(async () => (await tusOf(holdall).offset(upload.url)) === offset + 15_000)
      expect(await end(signal)).toBe('SIGKILL')
    } else {
      await sleep(100)
      expect(await end(signal)).toBe(0)
      expect([204, 423, 503]).toContain((await raw.answer()).status)
    }
    raw.socket.destroy()
    // Stopped in the middle of its start, when it may or may not handle the signal yet.
    begin()
    await sleep(60)
    await end(signal)
    begin()
    await ready()
    const now = await tusOf(holdall).offset(upload.url)
    expect(now).toBe(offset + 15_000)
    offset = now
  }
  expect((await tusOf(holdall).patch(upload.url, offset, bytes.subarray(offset))).status).toBe(204)
  const file = await confirmUpload(holdall, { uploadId: upload.id })
  expect((await download(holdall, file.id)).equals(bytes)).toBe(true)
  expect(await end('SIGTERM')).toBe(0)
  expect(output.err).toBe('')
})
