import fc from 'fast-check'
import { archiveFiles, sha256 } from './archive-files.ts'
import type { Ground } from './fuzz-server.ts'
import { query } from './gql.ts'
import { emptyFolder } from './paths.ts'
import type { Subject } from './runs.ts'
import { insist, sound } from './verify-answer.ts'
import { ask } from './wire.ts'

type Archive = { zip: Buffer; onConflict: string; sample: boolean }
/** Archives that lie or are broken: a tree comes whole, with the bytes that its rows say, or not at all. */
export const archives: Subject<Archive> = {
  name: 'archives',
  rows: 'S1, S23, F23',
  isDear: true,
  cases: () =>
    fc.record({
      zip: archiveFiles,
      onConflict: fc.constantFrom('FAIL', 'RENAME', 'REPLACE', 'NEW_VERSION'),
      sample: fc.boolean(),
    }),
  async check(ground, { zip, onConflict, sample }) {
    const place = await emptyFolder(ground)
    const into = await emptyFolder(ground, place.id)
    const uploadId = await uploaded(ground, zip, place.path)
    const document = `mutation ($input: ImportArchiveInput!) { importArchive(input: $input) {
      ... on ImportArchivePayload { entryCount } ... on UserError { code message } } }`
    const input = { uploadId, destination: { id: into.id }, onConflict }
    const { data } = await query(ground, document, { input })
    const { entryCount } = data?.importArchive ?? {}
    const files = await filesBelow(ground, into.id)
    if (entryCount === undefined)
      insist(files.length === 0, `refused, and ${files.length} entries are there`)
    if (sample) for (const file of files.slice(0, 3)) await readsBack(ground, file)
    return entryCount !== undefined
  },
}

/** By one request of a plain tus client, which also confirms. */
async function uploaded(ground: Ground, zip: Buffer, path: string): Promise<string> {
  const said = { workspaceId: ground.workspaceId, path, filename: 'a.zip', confirm: 'auto' }
  const pairs = Object.entries(said).map(
    ([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`,
  )
  const headers = {
    'Tus-Resumable': '1.0.0',
    'Content-Type': 'application/offset+octet-stream',
    'Upload-Length': String(zip.length),
    'Upload-Metadata': pairs.join(','),
  }
  // An empty body is none, and its upload is complete at once.
  const answer = sound(await ask(ground, { method: 'POST', path: '/uploads', headers, body: zip }))
  insist(answer.headers['holdall-upload-status'] === 'COMPLETE', `${answer.status} ${answer.body}`)
  return String(answer.headers['holdall-upload-id'])
}

type Found = { id: string; size?: number; sha256?: string }
async function filesBelow(ground: Ground, within: string): Promise<Found[]> {
  const document = `query ($id: ID!, $within: ID!) { workspace(by: { id: $id }) {
    entries(first: 100, filter: { within: $within }) { nodes { id name path ... on File { size sha256 } } } } }`
  const { data } = await query(ground, document, { id: ground.workspaceId, within })
  return data.workspace.entries.nodes
}

async function readsBack(ground: Ground, { id, size, sha256: told }: Found) {
  if (told === undefined) return
  const { body, status } = sound(await ask(ground, { path: `/download/${id}` }))
  insist(
    status === 200 && body.length === size && sha256(body) === told,
    'a file has other bytes than its row says',
  )
}
