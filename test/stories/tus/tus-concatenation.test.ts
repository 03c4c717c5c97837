import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Upload, type UploadOptions } from 'tus-js-client'
import { expect, test } from 'vitest'
import {
  act,
  attempt,
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  entryByPath,
  usageOf,
} from '../../support/client.ts'
import { keysOf } from '../../support/data/bytes.ts'
import { invite } from '../../support/data/people.ts'
import { metadata, openTus, tusOf, until } from '../../support/network/tus.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

// tus 1.0.0, "Concatenation": the title of each test is the sentence that it checks.

const MIB = 1024 * 1024
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
type Tus = Awaited<ReturnType<typeof openTus>>

/** A complete partial upload of these bytes. */
async function part({ create, patch, workspaceId }: Tus, bytes: Uint8Array | string) {
  const length = { 'Upload-Length': String(bytes.length), 'Upload-Concat': 'partial' }
  const url = await create({ workspaceId }, length)
  if (bytes.length > 0) expect((await patch(url, 0, bytes)).status).toBe(204)
  return url
}

const parts = async (tus: Tus, ...all: (Uint8Array | string)[]) => {
  const urls: string[] = []
  for (const bytes of all) urls.push(await part(tus, bytes))
  return urls
}

const final = ({ post, workspaceId }: Tus, urls: string[], declared: Record<string, string> = {}) =>
  post({
    'Upload-Concat': `final;${urls.join(' ')}`,
    'Upload-Metadata': metadata({ workspaceId, filename: 'whole.bin', ...declared }),
  })

const locationOf = (response: Response) => response.headers.get('location') ?? ''
const uploadIdOf = (response: Response) => response.headers.get('holdall-upload-id') ?? ''
const blobsOf = async (holdall: TestServer, where: 'staged' | 'kept') =>
  (await keysOf(holdall, where)).length

test('the server MUST add concatenation to Tus-Extension', async () => {
  await using tus = await openTus()
  const { headers } = await tus.options()
  expect(headers.get('tus-extension')?.split(',')).toContain('concatenation')
  const { serverInfo } = await tus.holdall.ask('{ serverInfo { tusExtensions } }')
  expect(serverInfo.tusExtensions).toContain('concatenation')
})

test('partial uploads MUST be concatenated in the order of the list; the length is the sum of theirs', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = [randomBytes(3 * MIB), randomBytes(1), randomBytes(0), randomBytes(2 * MIB + 7)]
  const urls = await parts(tus, ...bytes)
  const order = [3, 1, 2, 0]
  const made = await final(
    tus,
    order.map((i) => urls[i] ?? ''),
  )
  expect(made.status).toBe(201)
  const head = await tus.head(locationOf(made))
  const length = String(5 * MIB + 8)
  expect([head.headers.get('upload-offset'), head.headers.get('upload-length')]).toEqual([
    length,
    length,
  ])
  const file = await confirmUpload(holdall, { uploadId: uploadIdOf(made) })
  const whole = Buffer.concat(order.map((i) => bytes[i] ?? Buffer.alloc(0)))
  expect(file).toMatchObject({ path: 'whole.bin', size: whole.length, sha256: sha256(whole) })
  expect((await download(holdall, file.id)).equals(whole)).toBe(true)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    currentBytes: whole.length,
    storedBytes: whole.length,
    fileCount: 1,
  })
})

test('the metadata of partial uploads SHALL NOT be transferred to the final one, whose own is its metadata', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const declared = { workspaceId, filename: 'part.txt', tags: 'part', confirm: 'auto' }
  const url = await tus.create(declared, { 'Upload-Length': '5', 'Upload-Concat': 'partial' })
  expect((await tus.patch(url, 0, 'hello')).headers.get('holdall-file-id')).toBe(null)
  expect((await tus.head(url)).headers.get('upload-metadata')).toBe(metadata(declared))
  const made = await final(tus, [url], { description: 'whole' })
  const { id } = await confirmUpload(holdall, { uploadId: uploadIdOf(made) })
  const query =
    'query ($id: ID!) { node(id: $id) { ... on File { path description tags { name } } } }'
  expect((await holdall.ask(query, { id })).node).toEqual({
    path: 'whole.bin',
    description: 'whole',
    tags: [],
  })
  expect(await entryByPath(holdall, workspaceId, 'part.txt')).toBe(null)
})

test('a partial upload SHOULD NOT be processed until it is part of a final one', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const url = await part(tus, 'hello')
  const { nodes } = (
    await holdall.ask(
      'query ($id: ID!) { workspace(by: { id: $id }) { uploads { nodes { id status } } } }',
      { id: workspaceId },
    )
  ).workspace.uploads
  expect(nodes).toMatchObject([{ status: 'RECEIVED' }])
  const refused = await attempt(holdall, 'confirmUpload', { uploadId: nodes[0].id }, '__typename')
  expect(refused).toMatchObject({ code: 'INVALID_STATE' })
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 5 })
  expect((await final(tus, [url])).status).toBe(201)
})

test('the client MUST NOT include Upload-Length in the final creation, nor bytes', async () => {
  await using tus = await openTus()
  const url = await part(tus, 'hello')
  const declared = {
    'Upload-Concat': `final;${url}`,
    'Upload-Metadata': metadata({ filename: 'a' }),
  }
  expect((await tus.post({ ...declared, 'Upload-Length': '5' })).status).toBe(400)
  expect((await tus.post({ ...declared, 'Upload-Defer-Length': '1' })).status).toBe(400)
  expect((await tus.post(declared, 'hello')).status).toBe(400)
  expect((await tus.post(declared)).status).toBe(201)
})

test('PATCH of a final upload MUST be 403, and MUST NOT modify it or its parts', async () => {
  await using tus = await openTus()
  const made = await final(tus, await parts(tus, 'hello ', 'world'))
  const url = locationOf(made)
  for (const offset of [0, 11]) expect((await tus.patch(url, offset, 'x')).status).toBe(403)
  expect(await tus.offset(url)).toBe(11)
  const { sha256: hash } = await confirmUpload(tus.holdall, { uploadId: uploadIdOf(made) })
  expect(hash).toBe(sha256(Buffer.from('hello world')))
})

test('HEAD of a final upload SHOULD NOT have Upload-Offset before it is joined; Upload-Length MUST be there once it is known', async () => {
  await using tus = await openTus()
  const { holdall } = tus
  const urls = await parts(tus, 'hello ', 'world')
  // A running job delays the next one.
  const { promise, resolve } = Promise.withResolvers<void>()
  const { blobs } = holdall.app
  const commit = blobs.commit.bind(blobs)
  blobs.commit = (key) => promise.then(() => commit(key))
  const creating = final(tus, urls)
  const list = `query ($id: ID!) { workspace(by: { id: $id }) { uploads { nodes { name url status size } } } }`
  const found = async () => {
    const { workspace } = await holdall.ask(list, { id: tus.workspaceId })
    return workspace.uploads.nodes.find(({ name }: { name: string }) => name === 'whole.bin')
  }
  await until(async () => (await found()) !== undefined)
  const { url } = await found()
  const { headers } = await tus.head(url)
  expect([headers.get('upload-offset'), headers.get('upload-length')]).toEqual([null, '11'])
  resolve()
  const made = await creating
  expect(locationOf(made)).toBe(url)
  expect((await tus.head(url)).headers.get('upload-offset')).toBe('11')
})

test('HEAD MUST include Upload-Concat as it came at the creation', async () => {
  await using tus = await openTus()
  const url = await part(tus, 'hello')
  const ofPart = await tus.head(url)
  expect([ofPart.headers.get('upload-concat'), ofPart.headers.get('upload-offset')]).toEqual([
    'partial',
    '5',
  ])
  const made = await final(tus, [url])
  expect((await tus.head(locationOf(made))).headers.get('upload-concat')).toBe(`final;${url}`)
  const plain = await tus.create({ workspaceId: tus.workspaceId }, { 'Upload-Length': '5' })
  expect((await tus.head(plain)).headers.get('upload-concat')).toBe(null)
})

test('the host and scheme of the URLs MAY be omitted', async () => {
  await using tus = await openTus()
  const [a = '', b = ''] = await parts(tus, 'hello ', 'world')
  const made = await final(tus, [new URL(a).pathname, b])
  expect((await tus.head(locationOf(made))).headers.get('upload-length')).toBe('11')
})

test('a part with a deferred length is accepted', async () => {
  await using tus = await openTus()
  const { workspaceId } = tus
  const defer = { 'Upload-Defer-Length': '1', 'Upload-Concat': 'partial' }
  const url = await tus.create({ workspaceId }, defer)
  await tus.patch(url, 0, 'hello', { 'Upload-Length': '5' })
  expect((await final(tus, [url])).status).toBe(201)
})

test('a list without parts, or with invalid ones, is refused', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const url = await part(tus, 'hello')
  const plain = await tus.create({ workspaceId }, { 'Upload-Length': '0' })
  const cancelled = await part(tus, 'hello')
  await tus.terminate(cancelled)
  const other = await createWorkspace(holdall)
  const elsewhere = await part({ ...tus, workspaceId: other.id }, 'hello')
  const status = async (header: string) =>
    (await tus.post({ 'Upload-Concat': header, 'Upload-Metadata': metadata({ workspaceId }) }))
      .status
  for (const header of ['final', 'final;', 'final; ', 'whole', 'Partial']) {
    expect([header, await status(header)]).toEqual([header, 400])
  }
  expect(await status(`final;${url} ${url}`)).toBe(400)
  expect(await status(`final;${plain}`)).toBe(400)
  expect(await status(`final;${url}x`)).toBe(404)
  expect(await status(`final;${url} ${elsewhere}`)).toBe(404)
  expect(await status(`final;${cancelled}`)).toBe(422)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 5 })
})

test('parts can be used by their creator only', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const url = await part(tus, 'hello')
  const { token } = await invite(holdall, workspaceId)
  const response = await holdall.http('/uploads', {
    method: 'POST',
    token,
    headers: { 'Tus-Resumable': '1.0.0', 'Upload-Concat': `final;${url}` },
  })
  expect(response.status).toBe(404)
  expect((await tus.head(url)).headers.get('upload-offset')).toBe('5')
})

test('a part is used once; a repeated request returns the same upload', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const urls = await parts(tus, 'hello ', 'world')
  const [first, second] = await Promise.all([final(tus, urls), final(tus, urls)])
  expect(locationOf(second)).toBe(locationOf(first))
  expect(locationOf(await final(tus, urls))).toBe(locationOf(first))
  expect((await final(tus, urls.toReversed())).status).toBe(422)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 11 })
})

test('joined parts lose their bytes and reservations, and answer with their length until the whole ends', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const urls = await parts(tus, randomBytes(MIB), randomBytes(MIB))
  const made = await final(tus, urls)
  await until(async () => (await blobsOf(holdall, 'kept')) === 0)
  expect(await blobsOf(holdall, 'staged')).toBe(1)
  const { status, headers } = await tus.head(urls[0] ?? '')
  expect([status, headers.get('upload-offset')]).toEqual([200, String(MIB)])
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 2 * MIB })
  await tus.terminate(locationOf(made))
  expect((await tus.head(urls[0] ?? '')).status).toBe(410)
  expect(await blobsOf(holdall, 'staged')).toBe(0)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
})

test('the reservation of the parts becomes that of the whole, in a workspace that is full with them', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  await act(holdall, 'updateWorkspace', { workspaceId, quotaBytes: 11 }, '__typename')
  const urls = await parts(tus, 'hello ', 'world')
  const made = await final(tus, urls, { confirm: 'auto' })
  expect(made.status).toBe(201)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, currentBytes: 11 })
})

test('confirm: auto creates the file with the response, or reports why not', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const made = await final(tus, await parts(tus, 'hello ', 'world'), { confirm: 'auto' })
  const file = await entryByPath(holdall, workspaceId, 'whole.bin')
  expect([made.status, made.headers.get('holdall-file-id')]).toEqual([201, file?.id])
  const wrong = { confirm: 'auto', filename: 'other', sha256: '0'.repeat(64) }
  const refused = await final(tus, await parts(tus, 'hello ', 'world'), wrong)
  expect(refused.status).toBe(460)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, fileCount: 1 })
})

test('a join interrupted by a restart is resumed, and the file created as its creator', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = [randomBytes(2 * MIB), randomBytes(2 * MIB), randomBytes(2 * MIB)]
  const urls = await parts(tus, ...bytes)
  const { blobs } = holdall.app
  const append = blobs.append.bind(blobs)
  let calls = 0
  blobs.append = (key, offset, ...rest) => {
    calls += 1
    return calls === 1 ? append(key, offset, ...rest) : Promise.reject(new Error('cut short'))
  }
  void final(tus, urls, { confirm: 'auto' }).catch(() => {})
  await until(async () => calls > 1)
  expect(await entryByPath(holdall, workspaceId, 'whole.bin')).toBe(null)
  await holdall.restart()
  await until(async () => (await entryByPath(holdall, workspaceId, 'whole.bin')) !== null, 15_000)
  const file = await entryByPath(holdall, workspaceId, 'whole.bin')
  const whole = Buffer.concat(bytes)
  expect((await download(holdall, file?.id ?? '')).equals(whole)).toBe(true)
  await until(async () => (await blobsOf(holdall, 'kept')) === 1)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    storedBytes: whole.length,
  })
})

test('parts that are never joined expire like other uploads', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using tus = await openTus({ now: () => now })
  const url = await part(tus, 'hello')
  now += 25 * 3_600_000
  expect((await final(tus, [url])).status).toBe(410)
  for (const ms of [0, 600_000]) {
    now += ms
    await tus.holdall.app.jobs.runDue()
  }
  expect(await usageOf(tus.holdall, tus.workspaceId)).toMatchObject({ reservedBytes: 0 })
  expect(await blobsOf(tus.holdall, 'staged')).toBe(0)
})

/** An upload of tus-js-client as applications write it. */
function start(holdall: TestServer, bytes: Buffer, options: UploadOptions) {
  const { promise: done, resolve, reject } = Promise.withResolvers<void>()
  const upload = new Upload(bytes, {
    endpoint: `${holdall.url}/uploads`,
    headers: { Authorization: `Bearer ${holdall.token}` },
    retryDelays: null,
    parallelUploads: 3,
    onSuccess: () => resolve(),
    onError: reject,
    ...options,
  })
  upload.start()
  return { upload, done }
}

test('tus-js-client: parallelUploads, with parts named by metadataForPartialUploads or by the endpoint', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const ways: UploadOptions[] = [
    { metadataForPartialUploads: { workspaceId } },
    { endpoint: `${holdall.url}/uploads?workspaceId=${workspaceId}` },
    { headers: { Authorization: `Bearer ${(await invite(holdall, workspaceId)).token}` } },
  ]
  for (const [i, way] of ways.entries()) {
    const bytes = randomBytes(7 * MIB + i)
    const metadata = { filename: `${i}.bin`, workspaceId, confirm: 'auto', sha256: sha256(bytes) }
    const { upload, done } = start(holdall, bytes, { metadata, chunkSize: MIB, ...way })
    await done
    const file = await entryByPath(holdall, workspaceId, `${i}.bin`)
    expect((await download(holdall, file?.id ?? '')).equals(bytes)).toBe(true)
    expect((await tusOf(holdall).head(upload.url ?? '', {}, null)).status).toBe(401)
  }
})

test('tus-js-client: aborted parallelUploads resume where they stopped', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = randomBytes(9 * MIB)
  let patches = 0
  const options = {
    metadata: { filename: 'a.bin', workspaceId, confirm: 'auto' },
    metadataForPartialUploads: { workspaceId },
    chunkSize: MIB / 2,
    onBeforeRequest: (req: { getMethod: () => string }) => {
      if (req.getMethod() === 'PATCH') patches += 1
    },
  }
  const first = start(holdall, bytes, options)
  while (patches < 9) await sleep(1)
  await first.upload.abort()
  first.upload.start()
  await first.done
  const file = await entryByPath(holdall, workspaceId, 'a.bin')
  expect((await download(holdall, file?.id ?? '')).equals(bytes)).toBe(true)
})

test('an upload of createUpload cannot be a part', async () => {
  await using tus = await openTus()
  const made = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 5,
  })
  await tus.patch(made.url, 0, 'hello')
  expect((await final(tus, [made.url])).status).toBe(400)
})
