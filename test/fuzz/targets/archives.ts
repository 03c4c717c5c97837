import fc from 'fast-check'
import type { FuzzServer } from '../fuzz-server.ts'
import { query } from '../gql.ts'
import { archiveFiles, sha256 } from '../inputs/archive-files.ts'
import { createEmptyFolder } from '../inputs/paths.ts'
import type { Subject } from '../runs.ts'
import { assertInvariant, checkResponse } from '../verify-answer.ts'
import { sendRequest } from '../wire.ts'

type Archive = { zip: Buffer; onConflict: string; sample: boolean }
/** Malformed archives: an import creates the whole tree with the right bytes, or nothing. */
export const archives: Subject<Archive> = {
  name: 'archives',
  rows: 'S1, S23, F23',
  isSlow: true,
  cases: () =>
    fc.record({
      zip: archiveFiles,
      onConflict: fc.constantFrom('FAIL', 'RENAME', 'REPLACE', 'NEW_VERSION'),
      sample: fc.boolean(),
    }),
  async check(server, { zip, onConflict, sample }) {
    const folder = await createEmptyFolder(server)
    const target = await createEmptyFolder(server, folder.id)
    const uploadId = await uploadArchive(server, zip, folder.path)
    const document = `mutation ($input: ImportArchiveInput!) { importArchive(input: $input) {
      ... on ImportArchivePayload { entryCount } ... on UserError { code message } } }`
    const input = { uploadId, folder: { id: target.id }, onConflict }
    const { data } = await query(server, document, { input })
    const { entryCount } = data?.importArchive ?? {}
    const files = await filesBelow(server, target.id)
    if (entryCount === undefined)
      assertInvariant(
        files.length === 0,
        `the import was rejected but created ${files.length} entries`,
      )
    if (sample) for (const file of files.slice(0, 3)) await checkReadBack(server, file)
    return entryCount !== undefined
  },
}

/** Uploads an archive with one tus request, and returns the upload id. */
async function uploadArchive(server: FuzzServer, zip: Buffer, path: string): Promise<string> {
  const fields = { workspaceId: server.workspaceId, path, filename: 'a.zip' }
  const pairs = Object.entries(fields).map(
    ([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`,
  )
  const headers = {
    'Tus-Resumable': '1.0.0',
    'Content-Type': 'application/offset+octet-stream',
    'Upload-Length': String(zip.length),
    'Upload-Metadata': pairs.join(','),
  }
  // An upload of size 0 is complete without a body.
  const answer = checkResponse(
    await sendRequest(server, { method: 'POST', path: '/uploads', headers, body: zip }),
  )
  assertInvariant(
    answer.headers['holdall-upload-status'] === 'RECEIVED',
    `${answer.status} ${answer.body}`,
  )
  return String(answer.headers['holdall-upload-id'])
}

type FoundEntry = { id: string; size?: number; sha256?: string }
async function filesBelow(server: FuzzServer, within: string): Promise<FoundEntry[]> {
  const document = `query ($id: ID!, $within: ID!) { workspace(by: { id: $id }) {
    entries(first: 100, filter: { within: $within }) { nodes { id name path ... on File { size sha256 } } } } }`
  const { data } = await query(server, document, { id: server.workspaceId, within })
  return data.workspace.entries.nodes
}

async function checkReadBack(server: FuzzServer, { id, size, sha256: expectedHash }: FoundEntry) {
  if (expectedHash === undefined) return
  const { body, status } = checkResponse(await sendRequest(server, { path: `/download/${id}` }))
  assertInvariant(
    status === 200 && body.length === size && sha256(body) === expectedHash,
    'the bytes of a file do not match its size or hash',
  )
}
