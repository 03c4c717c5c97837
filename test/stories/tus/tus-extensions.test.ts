import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { children, createUpload } from '../../support/client.ts'
import { metadata, OFFSET_TYPE, openTus, rawRequest } from '../../support/network/tus.ts'

// tus 1.0.0, "Protocol Extensions": the title of each test is the sentence that it checks.

test('Creation: Upload-Defer-Length MUST be 1; any other value should be 400', async () => {
  await using tus = await openTus()
  const declared = metadata({ workspaceId: tus.workspaceId })
  for (const value of ['0', '2', 'true']) {
    const response = await tus.post({ 'Upload-Defer-Length': value, 'Upload-Metadata': declared })
    expect([value, response.status]).toEqual([value, 400])
  }
  expect((await tus.post({ 'Upload-Defer-Length': '1', 'Upload-Metadata': declared })).status).toBe(
    201,
  )
})

test('Creation: the request MUST include one of Upload-Length and Upload-Defer-Length', async () => {
  await using tus = await openTus()
  const declared = metadata({ workspaceId: tus.workspaceId })
  expect((await tus.post({ 'Upload-Metadata': declared })).status).toBe(400)
  const both = { 'Upload-Length': '5', 'Upload-Defer-Length': '1', 'Upload-Metadata': declared }
  expect((await tus.post(both)).status).toBe(400)
})

test('Creation: Upload-Metadata MUST consist of pairs; keys MUST NOT be empty, values MUST be Base64, all keys MUST be unique', async () => {
  await using tus = await openTus()
  const right = metadata({ workspaceId: tus.workspaceId })
  const wrong = [
    `${right},filename YQ`,
    `${right},filename Y==`,
    `${right},a YQ==,a YQ==`,
    `${right},,b`,
    `${right},ä YQ==`,
    `${right},a YQ== YQ==`,
    'filename a b',
  ]
  for (const declared of wrong) {
    const response = await tus.post({
      'Upload-Length': '1',
      'Upload-Metadata': Buffer.from(declared).toString('latin1'),
    })
    expect([declared, response.status]).toEqual([declared, 400])
    expect(await response.json()).toMatchObject({
      code: 'INVALID_INPUT',
      path: ['Upload-Metadata'],
    })
  }
})

test('Creation: the value MAY be empty, and the space MAY be left out; unknown keys are ignored', async () => {
  await using tus = await openTus()
  const declared = `${metadata({ workspaceId: tus.workspaceId })},is_confidential,empty ,constructor YQ==,__proto__ YQ==`
  const response = await tus.post({ 'Upload-Length': '1', 'Upload-Metadata': declared })
  expect(response.status).toBe(201)
})

test('S7: Creation: servers SHOULD carefully validate metadata values to avoid header smuggling', async () => {
  await using tus = await openTus()
  const name = 'a\r\nSet-Cookie: x=1'
  const declared = metadata({ workspaceId: tus.workspaceId, filename: name })
  expect((await tus.post({ 'Upload-Length': '1', 'Upload-Metadata': declared })).status).toBe(400)
  const other = metadata({ workspaceId: tus.workspaceId, note: name })
  const url =
    (await tus.post({ 'Upload-Length': '1', 'Upload-Metadata': other })).headers.get('location') ??
    ''
  const head = await tus.head(url)
  expect([head.headers.get('set-cookie'), head.headers.get('upload-metadata')]).toEqual([
    null,
    other,
  ])
})

test('S27: Creation: once it is known the client MUST set Upload-Length in the next PATCH request; once set it MUST NOT be changed', async () => {
  await using tus = await openTus()
  const url = await tus.create({ workspaceId: tus.workspaceId }, { 'Upload-Defer-Length': '1' })
  expect((await tus.patch(url, 0, 'hello ')).status).toBe(204)
  const messageOf = async (length: string, offset = 6) => {
    const response = await tus.patch(url, offset, 'wo', { 'Upload-Length': length })
    return [response.status, ((await response.json()) as { message: string }).message]
  }
  expect(await messageOf('5')).toEqual([
    400,
    'Upload-Length is 5, but the upload has already received 6 bytes; create another upload for other bytes',
  ])
  expect((await tus.patch(url, 6, 'wo', { 'Upload-Length': '11' })).status).toBe(204)
  expect(await messageOf('12', 8)).toEqual([
    400,
    'Upload-Length is 12, but the upload has a length of 11 bytes, which cannot change; create another upload for other bytes',
  ])
  expect((await tus.patch(url, 8, 'rld')).headers.get('upload-offset')).toBe('11')
})

test('Creation: a repeated length is not a change, so a client can retry', async () => {
  await using tus = await openTus()
  const url = await tus.create({ workspaceId: tus.workspaceId }, { 'Upload-Defer-Length': '1' })
  const length = { 'Upload-Length': '11' }
  expect((await tus.patch(url, 0, 'hello', length)).status).toBe(204)
  expect((await tus.patch(url, 5, ' ', length)).status).toBe(204)
  expect((await tus.patch(url, 6, 'world!', length)).status).toBe(413)
  expect((await tus.patch(url, 6, 'world', length)).headers.get('upload-offset')).toBe('11')
})

test('Creation: as long as the length is not known, the server MUST set Upload-Defer-Length: 1 in all responses to HEAD', async () => {
  await using tus = await openTus()
  const url = await tus.create({ workspaceId: tus.workspaceId }, { 'Upload-Defer-Length': '1' })
  const lengths = async () => {
    const { headers } = await tus.head(url)
    return ['upload-defer-length', 'upload-length', 'upload-offset'].map((name) =>
      headers.get(name),
    )
  }
  expect(await lengths()).toEqual(['1', null, '0'])
  await tus.patch(url, 0, 'hello')
  expect(await lengths()).toEqual(['1', null, '5'])
  await tus.patch(url, 5, '', { 'Upload-Length': '5' })
  expect(await lengths()).toEqual([null, '5', '5'])
})

test('S7: Creation: HEAD MUST include Upload-Metadata and its value as specified during the creation', async () => {
  await using tus = await openTus()
  const declared = `${metadata({ filename: 'Größe.txt', workspaceId: tus.workspaceId })},flag,x /+8=`
  const response = await tus.post({ 'Upload-Length': '1', 'Upload-Metadata': declared })
  const head = await tus.head(response.headers.get('location') ?? '')
  expect(head.headers.get('upload-metadata')).toBe(declared)
})

test('S27: Creation: if the length exceeds the maximum, the server MUST respond with 413', async () => {
  await using tus = await openTus({ env: { MAX_UPLOAD_BYTES: '1000' } })
  const declared = metadata({ workspaceId: tus.workspaceId })
  for (const length of ['1001', '9223372036854775808', '1'.repeat(400)]) {
    const response = await tus.post({ 'Upload-Length': length, 'Upload-Metadata': declared })
    expect(response.status).toBe(413)
    expect(await response.json()).toMatchObject({ code: 'FILE_TOO_LARGE' })
  }
  const url = await tus.create({ workspaceId: tus.workspaceId }, { 'Upload-Defer-Length': '1' })
  expect((await tus.patch(url, 0, '', { 'Upload-Length': '1001' })).status).toBe(413)
  expect((await tus.patch(url, 0, 'x'.repeat(1001))).status).toBe(413)
  expect(await tus.offset(url)).toBe(0)
})

test('Creation: the server MUST acknowledge with 201 and MUST set Location to the URL of the created resource', async () => {
  await using tus = await openTus()
  const declared = metadata({ workspaceId: tus.workspaceId })
  const response = await tus.post({ 'Upload-Length': '11', 'Upload-Metadata': declared })
  const location = response.headers.get('location') ?? ''
  expect(response.status).toBe(201)
  expect(location).toMatch(
    new RegExp(`^${tus.holdall.url}/uploads/[0-9a-f]{32}\\.k[0-9a-f]{8}\\.[\\w-]{22}$`),
  )
  expect((await tus.head(location)).headers.get('upload-length')).toBe('11')
})

test('S29: Creation: Location follows PUBLIC_URL, whatever the request headers say', async () => {
  await using tus = await openTus({ env: { PUBLIC_URL: 'https://files.example.org/x' } })
  const declared = metadata({ workspaceId: tus.workspaceId })
  const headers = {
    'Upload-Length': '1',
    'Upload-Metadata': declared,
    'X-Forwarded-Host': 'evil.example',
  }
  const location = (await tus.post(headers)).headers.get('location')
  expect(location).toMatch(/^https:\/\/files\.example\.org\/x\/uploads\//)
})

test('Creation With Upload: the server SHOULD accept as many bytes as possible and MUST include Upload-Offset', async () => {
  await using tus = await openTus()
  const declared = metadata({ workspaceId: tus.workspaceId })
  const response = await tus.post({ 'Upload-Length': '11', 'Upload-Metadata': declared }, 'hello')
  expect([response.status, response.headers.get('upload-offset')]).toEqual([201, '5'])
  const url = response.headers.get('location') ?? ''
  expect((await tus.patch(url, 5, ' world')).headers.get('upload-offset')).toBe('11')
})

test('Creation With Upload: the client MUST include the content type; without it the body is refused, not dropped', async () => {
  await using tus = await openTus()
  const declared = metadata({ workspaceId: tus.workspaceId })
  const headers = {
    'Upload-Length': '11',
    'Upload-Metadata': declared,
    'Content-Type': 'text/plain',
  }
  expect((await tus.post(headers, 'hello')).status).toBe(415)
})

test('F9: Creation With Upload: an interrupted body leaves an upload with the received bytes', async () => {
  await using tus = await openTus()
  const declared = metadata({ workspaceId: tus.workspaceId, filename: 'cut.txt' })
  const headers = {
    'Upload-Length': '11',
    'Content-Length': '11',
    'Content-Type': OFFSET_TYPE,
    'Upload-Metadata': declared,
  }
  const raw = await rawRequest(tus.holdall, 'POST', '/uploads', headers)
  await raw.write('hello')
  await new Promise((resolve) => setTimeout(resolve, 100))
  raw.socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 100))
  const query = `query ($id: ID!) { workspace(by: { id: $id }) { uploads { nodes { name offset status } } } }`
  const { workspace } = await tus.holdall.ask(query, { id: tus.workspaceId })
  expect(workspace.uploads.nodes).toEqual([{ name: 'cut.txt', offset: 5, status: 'RECEIVING' }])
})

test('Creation With Upload: clients SHOULD send Expect: 100-continue, and get an early response', async () => {
  await using tus = await openTus()
  const declared = metadata({ workspaceId: tus.workspaceId })
  const raw = await rawRequest(tus.holdall, 'POST', '/uploads', {
    'Upload-Length': '5',
    'Content-Length': '5',
    'Content-Type': OFFSET_TYPE,
    'Upload-Metadata': declared,
    Expect: '100-continue',
  })
  expect((await raw.answer()).status).toBe(100)
  raw.received = ''
  await raw.write('hello')
  await expect.poll(() => raw.received).toMatch(/^HTTP\/1.1 201/)
})

test('Expiration: Upload-Expires MUST be in every PATCH response and in that of POST, in RFC 7231 format; its value MAY change', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using tus = await openTus({ now: () => now, env: { UPLOAD_TTL_HOURS: '1' } })
  const declared = metadata({ workspaceId: tus.workspaceId })
  const created = await tus.post({ 'Upload-Length': '11', 'Upload-Metadata': declared })
  expect(created.headers.get('upload-expires')).toBe('Tue, 01 Jan 2030 01:00:00 GMT')
  const url = created.headers.get('location') ?? ''
  now += 50 * 60_000
  expect((await tus.head(url)).headers.get('upload-expires')).toBe('Tue, 01 Jan 2030 01:00:00 GMT')
  const patched = await tus.patch(url, 0, 'hello')
  expect(patched.headers.get('upload-expires')).toBe('Tue, 01 Jan 2030 01:50:00 GMT')
  now += 50 * 60_000
  const last = await tus.patch(url, 5, ' world')
  expect([last.status, last.headers.get('upload-expires')]).toEqual([
    204,
    'Tue, 01 Jan 2030 02:40:00 GMT',
  ])
})

test('Expiration: an expired upload is 410, since the server keeps track of them', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using tus = await openTus({ now: () => now, env: { UPLOAD_TTL_HOURS: '1' } })
  const url = await tus.create({ workspaceId: tus.workspaceId }, { 'Upload-Length': '11' })
  now += 3_600_000
  const head = await tus.head(url)
  expect([
    head.status,
    head.headers.get('upload-offset'),
    head.headers.get('upload-expires'),
  ]).toEqual([410, null, null])
  const patch = await tus.patch(url, 0, 'hello')
  expect([patch.status, ((await patch.json()) as any).code]).toEqual([410, 'UPLOAD_EXPIRED'])
})

const checksum = (algorithm: string, text: string) =>
  `${algorithm} ${createHash(algorithm).update(text).digest('base64')}`

test('Checksum: the server MUST verify the uploaded chunk; sha1 at least', async () => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 15,
  })
  let offset = 0
  for (const algorithm of ['sha1', 'sha256', 'md5']) {
    const headers = { 'Upload-Checksum': checksum(algorithm, 'hello') }
    const response = await tus.patch(url, offset, 'hello', headers)
    offset += 5
    expect([response.status, response.headers.get('upload-offset')]).toEqual([204, String(offset)])
  }
})

test('Checksum: 460 where it mismatches; the chunk MUST be discarded, and the upload and its offset MUST NOT be updated', async () => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 11,
  })
  await tus.patch(url, 0, 'hello')
  const response = await tus.patch(url, 5, ' wurld', {
    'Upload-Checksum': checksum('sha1', ' world'),
  })
  expect([response.status, response.headers.get('upload-offset')]).toEqual([460, '5'])
  expect(await response.json()).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  expect(await tus.offset(url)).toBe(5)
  const right = await tus.patch(url, 5, ' world', { 'Upload-Checksum': checksum('sha1', ' world') })
  expect(right.status).toBe(204)
})

test('Checksum: 400 if the algorithm is not supported, 460 if no bytes can have the digest', async () => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 5,
  })
  const status = async (header: string) =>
    (await tus.patch(url, 0, 'hello', { 'Upload-Checksum': header })).status
  for (const header of ['crc32 AAAAAA==', 'SHA1 qvTGHdzF6KLavt4PO0gs2a6pQ00=', 'qvTGHdzF6KLavt4'])
    expect([header, await status(header)]).toEqual([header, 400])
  for (const header of ['sha1', 'sha1 zzz', 'sha1 qvTGHdzF6KLavt4=', 'sha256 !', 'md5 a b'])
    expect([header, await status(header)]).toEqual([header, 460])
  expect(await tus.offset(url)).toBe(0)
})

test('Checksum: Tus-Checksum-Algorithm MUST be in the response to OPTIONS, a comma-separated list in lower case', async () => {
  await using tus = await openTus()
  expect((await tus.options()).headers.get('tus-checksum-algorithm')).toBe('sha1,sha256,md5')
})

test('Checksum: it applies to the bytes of a POST as well', async () => {
  await using tus = await openTus()
  const declared = metadata({ workspaceId: tus.workspaceId })
  const headers = {
    'Upload-Length': '5',
    'Upload-Metadata': declared,
    'Upload-Checksum': checksum('sha1', 'jello'),
  }
  const response = await tus.post(headers, 'hello')
  expect([response.status, response.headers.get('upload-offset')]).toEqual([460, '0'])
  expect(await tus.offset(response.headers.get('location') ?? '')).toBe(0)
})

test('Termination: the server SHOULD free associated resources and MUST respond with 204; future requests SHOULD be 404 or 410', async () => {
  await using tus = await openTus()
  const url = await tus.create({ workspaceId: tus.workspaceId }, { 'Upload-Length': '11' })
  await tus.patch(url, 0, 'hello')
  expect((await tus.terminate(url)).status).toBe(204)
  expect((await tus.head(url)).status).toBe(410)
  expect((await tus.patch(url, 5, ' world')).status).toBe(410)
  expect((await tus.terminate(url)).status).toBe(410)
  const { workspace } = await tus.holdall.ask(
    `query ($id: ID!) { workspace(by: { id: $id }) { usage { reservedBytes storedBytes } } }`,
    { id: tus.workspaceId },
  )
  expect(workspace.usage).toEqual({ reservedBytes: 0, storedBytes: 0 })
  const staged = await Array.fromAsync(tus.holdall.app.blobs.list('staged'))
  expect(staged).toEqual([])
})

test('Termination: of a confirmed upload, its file stays', async () => {
  await using tus = await openTus()
  const url = await tus.create(
    { workspaceId: tus.workspaceId, filename: 'a.txt', confirm: 'auto' },
    { 'Upload-Length': '5' },
  )
  await tus.patch(url, 0, 'hello')
  expect((await tus.terminate(url)).status).toBe(204)
  expect((await tus.head(url)).status).toBe(410)
  const { workspace } = await tus.holdall.ask(
    `query ($id: ID!) { workspace(by: { id: $id }) { root { id } } }`,
    { id: tus.workspaceId },
  )
  expect(await children(tus.holdall, workspace.root.id)).toMatchObject([{ path: 'a.txt' }])
})

test('CORS_ORIGINS admits browsers, which can read the headers of the protocol', async () => {
  const origin = 'https://app.example.org'
  await using tus = await openTus({ env: { CORS_ORIGINS: origin } })
  const preflight = await tus.options('/uploads', {
    Origin: origin,
    'Access-Control-Request-Method': 'PATCH',
    'Access-Control-Request-Headers': 'upload-offset,tus-resumable,upload-checksum,authorization',
  })
  expect(preflight.status).toBe(200)
  expect(preflight.headers.get('access-control-allow-methods')).toMatch(/PATCH/)
  expect(preflight.headers.get('access-control-allow-headers')).toMatch(/Upload-Checksum/)
  const url = await tus.create({ workspaceId: tus.workspaceId }, { 'Upload-Length': '5' })
  const head = await tus.head(url, { Origin: origin })
  expect(head.headers.get('access-control-allow-origin')).toBe(origin)
  for (const name of [
    'Upload-Offset',
    'Upload-Expires',
    'Location',
    'Holdall-File-Id',
    'Holdall-Upload-Id',
    'Holdall-Upload-Status',
  ]) {
    expect(head.headers.get('access-control-expose-headers')).toContain(name)
  }
  const stranger = await tus.head(url, { Origin: 'https://evil.example' })
  expect(stranger.headers.get('access-control-allow-origin')).toBe(null)
  expect(stranger.headers.get('vary')).toMatch(/Origin/)
})
