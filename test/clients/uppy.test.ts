import { createHash } from 'node:crypto'
import { describe, expect, type TestContext, test } from 'vitest'
import { children, createWorkspace, download, entryByPath } from '../support/client.ts'
import { openProcess } from '../support/servers/killable.ts'
import type { TestServer } from '../support/servers/test-server.ts'
import { browserTools, openBrowser, servePage } from './browser.ts'

const MIB = 1024 * 1024
const SECONDS = 1000

/** A file by name, size and the byte that fills it. */
type Dropped = [name: string, size: number, byte: number]

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Starts a server, Chromium and the page with Uppy, which uploads to a new workspace with confirm: auto. */
async function openUppy(context: TestContext, metadata: Record<string, string> = {}) {
  const tools = await browserTools(context)
  const stack = new AsyncDisposableStack()
  const site = stack.use(await servePage(tools))
  const server = stack.use(await openProcess({ CORS_ORIGINS: site.origin }))
  const browser = stack.use(await openBrowser(tools))
  const { holdall } = server
  const { id: workspaceId, root } = await createWorkspace(holdall)
  const endpoint = `${holdall.url}/uploads`
  const fields = { endpoint, token: holdall.token, workspaceId, confirm: 'auto', ...metadata }
  const page = await browser.newPage()
  const methods: string[] = []
  page.on('request', (request) => methods.push(request.method()))
  await page.goto(`${site.origin}/#${new URLSearchParams(fields)}`)
  const drop = (...files: Dropped[]) => page.evaluate(`drop(${JSON.stringify(files)})`)
  const waitFor = (script: string) =>
    page.waitForFunction(script, undefined, { timeout: 90 * SECONDS })
  return {
    ...server,
    page,
    methods,
    workspaceId,
    root,
    waitFor,
    /** Drops files and starts the upload, without waiting for its end. */
    async upload(...files: Dropped[]) {
      await drop(...files)
      await waitFor(`uppy.getFiles().length === ${files.length}`)
      await page.evaluate('void uppy.upload()')
    },
    async result() {
      await waitFor('seen.result !== null')
      return page.evaluate('seen.result')
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

async function expectFiles(holdall: TestServer, workspaceId: string, files: Dropped[]) {
  for (const [name, size, byte] of files) {
    const file = await entryByPath(holdall, workspaceId, name)
    const bytes = await download(holdall, file?.id ?? '')
    expect([name, sha256(bytes)]).toEqual([name, sha256(Buffer.alloc(size, byte))])
  }
}

describe('Uppy in Chromium', { timeout: 900 * SECONDS }, () => {
  test('uploads three dragged files through a kill and a restart of the server', async (context) => {
    await using uppy = await openUppy(context)
    const files: Dropped[] = [
      ['a.bin', 24 * MIB, 1],
      ['b.bin', 24 * MIB, 2],
      ['empty.bin', 0, 0],
    ]
    await uppy.upload(...files)
    await uppy.waitFor(`seen.sentBytes > ${MIB}`)
    await uppy.kill()
    await uppy.start()
    expect(await uppy.result()).toMatchObject({
      successful: ['a.bin', 'b.bin', 'empty.bin'],
      failed: [],
    })
    await expectFiles(uppy.holdall, uppy.workspaceId, files)
  })

  test('Golden Retriever continues an upload after a reload of the page', async (context) => {
    await using uppy = await openUppy(context)
    const files: Dropped[] = [['a.bin', 9 * MIB, 3]]
    await uppy.upload(...files)
    await uppy.waitFor(`seen.sentBytes > ${2 * MIB}`)
    await uppy.page.reload()
    await uppy.waitFor('seen.restored && uppy.getState().recoveredState !== null')
    await uppy.page.evaluate("void uppy.emit('restore-confirmed')")
    expect(await uppy.result()).toMatchObject({ successful: ['a.bin'], failed: [] })
    await expectFiles(uppy.holdall, uppy.workspaceId, files)
    expect(uppy.methods.filter((method) => method === 'POST')).toHaveLength(1)
  })

  test('the second of two files of one name gets another name with onConflict: RENAME', async (context) => {
    await using uppy = await openUppy(context, { onConflict: 'RENAME' })
    await uppy.upload(['a.txt', 10, 1], ['a.txt', 20, 2])
    expect(await uppy.result()).toMatchObject({ successful: ['a.txt', 'a.txt'], failed: [] })
    const files = await children(uppy.holdall, uppy.root.id)
    expect(files.map(({ name }) => name)).toEqual(['a (2).txt', 'a.txt'])
  })

  test('the second of two files of one name is refused at once without onConflict', async (context) => {
    await using uppy = await openUppy(context)
    await uppy.upload(['a.txt', 10, 1])
    expect(await uppy.result()).toMatchObject({ successful: ['a.txt'], failed: [] })
    await uppy.page.evaluate('uppy.clear(); seen.result = null')
    const posts = () => uppy.methods.filter((method) => method === 'POST').length
    const before = posts()
    await uppy.upload(['a.txt', 20, 2])
    expect(await uppy.result()).toMatchObject({
      failed: ['a.txt'],
      errors: [expect.stringContaining('NAME_CONFLICT')],
    })
    expect(posts() - before).toBe(1)
  })
})

describe('tus-js-client in Chromium', { timeout: 900 * SECONDS }, () => {
  const uploads: [string, string, number, object][] = [
    ['0 bytes', 'new Blob([])', 0, {}],
    [
      'chunks',
      `new Blob([new Uint8Array(${2 * MIB}).fill(7)])`,
      2 * MIB,
      { chunkSize: 256 * 1024 },
    ],
    [
      'data in the first request',
      `new Blob([new Uint8Array(${MIB}).fill(7)])`,
      MIB,
      { uploadDataDuringCreation: true },
    ],
    [
      'a stream of unknown length',
      `new Blob([new Uint8Array(${MIB}).fill(7)]).stream().getReader()`,
      MIB,
      { uploadLengthDeferred: true, chunkSize: 256 * 1024 },
    ],
    [
      'parallel parts',
      `new Blob([new Uint8Array(${3 * MIB}).fill(7)])`,
      3 * MIB,
      { parallelUploads: 3 },
    ],
  ]
  test.for(uploads)('uploads %s', async ([, input, size, options], context) => {
    await using uppy = await openUppy(context)
    const metadata = { filename: 'a.bin' }
    const metadataForPartialUploads = { workspaceId: uppy.workspaceId }
    await uppy.page.evaluate(
      `upload(${input}, ${JSON.stringify({ ...options, metadata, metadataForPartialUploads })})`,
    )
    await expectFiles(uppy.holdall, uppy.workspaceId, [['a.bin', size, 7]])
  })
})
