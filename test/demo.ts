import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { act } from './support/client.ts'
import { startTestServer, type TestServer } from './support/servers/test-server.ts'

// Shows an upload on a server with a temporary folder: the connection breaks half way, the upload resumes
// and becomes a file. Each step prints the GraphQL or HTTP it sent. Exits with 0 if every
// step gave the expected result.

const MEBIBYTE = 1024 * 1024
const bytes = randomBytes(24 * MEBIBYTE)
const sha256 = createHash('sha256').update(bytes).digest('hex')

const say = (step: string, how: string) => console.log(`\n${step}\n  ${how}`)
const result = (text: string) => console.log(`  → ${text}`)

await using holdall = await startTestServer()
console.log(`Holdall is running at ${holdall.url} over ${holdall.dir}`)

say('A workspace', 'mutation { createWorkspace(input: { name: "Lab" }) { … } }')
const { workspace } = await act(
  holdall,
  'createWorkspace',
  { name: 'Lab' },
  'workspace { id slug }',
)
result(`${workspace.slug}  ${workspace.id}`)

say(
  'An upload of 24 MiB: the space is reserved, a URL comes back',
  'mutation { createUpload(input: { workspaceId, path: "raw/2025", name: "plate1.bin", size, sha256 }) { … } }',
)
const place = { workspaceId: workspace.id, path: 'raw/2025', name: 'plate1.bin' }
const { upload } = await act(
  holdall,
  'createUpload',
  { ...place, size: bytes.length, sha256 },
  'upload { id url status }',
)
result(`${upload.status}  ${upload.url}`)

say('The first bytes, and the connection breaks', `PATCH ${path(upload.url)}  Upload-Offset: 0`)
await sendUntilCut(holdall, upload.url, 10 * MEBIBYTE)
result('connection cut by the client')

say('Where was it?', `HEAD ${path(upload.url)}`)
let offset = await offsetOf(holdall, upload.url)
bar(offset)

say(
  'Confirming early is refused',
  'mutation { confirmUpload(input: { uploadId }) { … on UploadIncompleteError { missingBytes } } }',
)
const early = await holdall.ask(
  'mutation ($id: ID!) { confirmUpload(input: { uploadId: $id }) { __typename ... on UploadIncompleteError { missingBytes } } }',
  { id: upload.id },
)
expect(early.confirmUpload.__typename === 'UploadIncompleteError', 'an early confirm is refused')
result(`${early.confirmUpload.__typename}, ${early.confirmUpload.missingBytes} bytes missing`)

say('The rest, in chunks of 4 MiB', `PATCH ${path(upload.url)}  Upload-Offset: ${offset} …`)
while (offset < bytes.length) {
  const chunk = bytes.subarray(offset, offset + 4 * MEBIBYTE)
  const response = await holdall.http(upload.url, {
    method: 'PATCH',
    headers: tus(offset),
    body: chunk,
  })
  expect(response.status === 204, 'a chunk is taken')
  offset = Number(response.headers.get('upload-offset'))
  bar(offset)
}

say(
  'Bytes and metadata become visible together',
  'mutation { confirmUpload(input: { uploadId }) { … } }',
)
const { file } = await act(
  holdall,
  'confirmUpload',
  { uploadId: upload.id },
  'file { id path size sha256 }',
)
expect(file.sha256 === sha256, 'the file has the sha256 of what was sent')
result(`${file.path}  ${file.size} bytes  ${file.id}`)

say(
  'What is under raw/?',
  'query { workspace { entries(filter: { pathPrefix: "raw/" }) { nodes { path } } } }',
)
await list(holdall, workspace.id)

say('Download and compare', 'query { node(id) { … on File { downloadUrl { url } } } }, then GET')
const { node } = await holdall.ask(
  'query ($id: ID!) { node(id: $id) { ... on File { downloadUrl { url } } } }',
  {
    id: file.id,
  },
)
const link = node.downloadUrl.url
const copy = Buffer.from(await (await holdall.http(link, { token: null })).arrayBuffer())
expect(copy.equals(bytes), 'what comes back is what was sent')
result(`${copy.length} bytes, the same sha256 ${sha256.slice(0, 12)}…`)

say(
  'Into the trash',
  'mutation { trashEntries(input: { entries: [{ entry: { id } }] }) { succeeded } }',
)
await act(holdall, 'trashEntries', { entries: [{ entry: { id: file.id } }] }, 'succeeded')
const gone = (await holdall.http(link, { token: null })).status
expect(gone === 404, 'the link of a trashed file answers 404')
result(`its link answers ${gone}`)

say(
  'And back',
  'mutation { restoreEntries(input: { entries: [{ entry: { id: id } }] }) { succeeded } }',
)
await act(holdall, 'restoreEntries', { entries: [{ entry: { id: file.id } }] }, 'succeeded')
await list(holdall, workspace.id)
console.log('\nAll of it went as it should.')

async function list({ ask }: TestServer, id: string) {
  const query =
    'query ($id: ID!) { workspace(by: { id: $id }) { entries(filter: { pathPrefix: "raw/" }) { nodes { path } } } }'
  const { workspace } = await ask(query, { id })
  const paths: string[] = workspace.entries.nodes.map((entry: { path: string }) => entry.path)
  expect(paths.includes('raw/2025/plate1.bin'), 'the file is listed')
  result(paths.join('   '))
}

/** Sends what the whole request would be, but lets go of the connection after `cut` bytes. */
async function sendUntilCut(holdall: TestServer, url: string, cut: number) {
  const headers = {
    ...tus(0),
    authorization: `Bearer ${holdall.token}`,
    'content-length': bytes.length,
  }
  const sending = request(url, { method: 'PATCH', headers })
  sending.on('error', () => {})
  await new Promise<void>((resolve) => sending.write(bytes.subarray(0, cut), () => resolve()))
  await wait(300)
  sending.destroy()
}

async function offsetOf(holdall: TestServer, url: string): Promise<number> {
  const head = await holdall.http(url, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } })
  expect(head.status === 200, 'HEAD tells the offset')
  return Number(head.headers.get('upload-offset'))
}

function tus(offset: number) {
  return {
    'tus-resumable': '1.0.0',
    'upload-offset': String(offset),
    'content-type': 'application/offset+octet-stream',
  }
}

function bar(offset: number) {
  const done = Math.round((offset / bytes.length) * 40)
  const percent = Math.round((offset / bytes.length) * 100)
  result(`[${'█'.repeat(done)}${'·'.repeat(40 - done)}] ${percent} %  ${offset} of ${bytes.length}`)
}

function path(url: string) {
  return new URL(url).pathname
}

function expect(truth: boolean, what: string) {
  if (!truth) throw new Error(`not so: ${what}`)
}
