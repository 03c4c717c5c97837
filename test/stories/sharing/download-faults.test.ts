import { createHash, randomBytes } from 'node:crypto'
import { globSync } from 'node:fs'
import { rm, truncate } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { sweepBlobs } from '../../../src/domains/files/jobs.ts'
import {
  act,
  createWorkspace,
  downloadUrl,
  type FileHandle,
  uploadFile,
} from '../../support/client.ts'
import { openPaths } from '../../support/disk/open-paths.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

// More than sockets and streams buffer, so that a stalled reader stops the server.
const bytes = randomBytes(32 * 1024 * 1024)
let holdall: TestServer
let file: FileHandle
let link: string

const open = async (env: Record<string, string> = {}) => {
  holdall = await startTestServer({ env })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const { id: workspaceId } = await createWorkspace(holdall)
  file = await uploadFile(holdall, { workspaceId, name: 'plate1.dat', bytes })
  link = await downloadUrl(holdall, file.id)
}
beforeEach(() => open())

const blobFiles = () =>
  globSync('**/kept/**', { cwd: holdall.dir, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))

function blobPath(): string {
  const [path, ...others] = blobFiles()
  expect(others).toEqual([])
  return path as string
}

test('F18: a slow reader gets the whole file even if it is purged meanwhile', async () => {
  const response = await started(link)
  response.pause()
  await sleep(300)
  await act(holdall, 'trashEntries', { entries: [{ entry: { id: file.id } }] }, 'succeeded')
  await act(holdall, 'purgeEntries', { entries: [{ entry: { id: file.id } }] }, 'succeeded')
  await vi.waitFor(async () => {
    await sweepBlobs(holdall.app, new AbortController().signal)
    expect(blobFiles()).toEqual([])
  })

  const hash = createHash('sha256')
  for await (const chunk of response) hash.update(chunk)
  expect(hash.digest('hex')).toBe(file.sha256)
  expect((await holdall.http(link, { token: null })).status).toBe(404)
})

test('a client that disconnects leaves no open file behind', async () => {
  for (let i = 0; i < 20; i++) (await started(link)).destroy()
  const ranges = { range: 'bytes=0-9999999,20000000-' }
  for (let i = 0; i < 20; i++) (await started(link, ranges)).destroy()
  await vi.waitFor(() => expect(openBlobs()).toEqual([]), { timeout: 5000 })
})

test('F15: missing bytes are a storage error, without their path', async () => {
  await open({ VERIFY_READS: 'off' })
  await rm(blobPath())
  for (const headers of [{}, { range: 'bytes=5-9' }, { range: 'bytes=0-0,5-9' }]) {
    const response = await holdall.http(link, {
      token: null,
      headers: headers as Record<string, string>,
    })
    const text = await response.text()
    expect(response.status).toBe(500)
    expect(JSON.parse(text)).toMatchObject({ code: 'STORAGE_ERROR', requestId: expect.any(String) })
    expect(text).not.toMatch(/kept|holdall-|ENOENT/)
    expect(response.headers.get('etag')).toBeNull()
  }
})

test('F15: a truncated blob never looks like the whole file', async () => {
  await open({ VERIFY_READS: 'off' })
  await truncate(blobPath(), 20_000_000)
  const response = await holdall.http(link, { token: null })
  await expect(response.arrayBuffer()).rejects.toThrow()
  const parts = await holdall.http(link, {
    token: null,
    headers: { range: 'bytes=0-9,19999990-20000010' },
  })
  await expect(parts.arrayBuffer()).rejects.toThrow()
})

/** Returns the response once its headers and some bytes have arrived. */
function started(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const request = get(url, { headers, agent: false }, (response) => {
    response.once('readable', () => resolve(response))
    response.on('error', () => undefined)
  })
  request.on('error', reject)
  return promise
}

/** Returns the blobs that this process, server and client in one, has open. */
const openBlobs = () => openPaths().filter((path) => path.includes('/kept/'))
