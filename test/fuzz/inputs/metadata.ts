import fc from 'fast-check'
import type { FuzzServer } from '../fuzz-server.ts'
import type { Subject } from '../runs.ts'
import { assertInvariant, checkResponse } from '../verify-answer.ts'
import { sendRequest } from '../wire.ts'
import { headerSafe, mutated, text } from './texts.ts'

const keys = fc.oneof(
  fc.constantFrom(
    'filename',
    'name',
    'path',
    'folderId',
    'filetype',
    'description',
    'tags',
    'sha256',
    'versionOf',
  ),
  fc.constantFrom(
    'onConflict',
    'confirm',
    '__proto__',
    'constructor',
    'id',
    'key',
    'size',
    'createdBy',
    'status',
  ),
)
const words = fc.constantFrom(
  'a.txt',
  'raw/2025',
  'image/png',
  'red,blue',
  'RENAME',
  'NEW_VERSION',
  'auto',
  'a'.repeat(64),
)
const values = fc.oneof(words, mutated(words), text)
const pair = fc
  .tuple(fc.oneof({ weight: 9, arbitrary: keys }, { weight: 1, arbitrary: text }), values)
  .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)

/** Upload-Metadata headers, valid or with up to three mutations. */
const headers = ({ workspaceId }: FuzzServer) => {
  const named = fc.array(pair, { maxLength: 4 }).map((pairs) => {
    const unique = [...new Map(pairs.map((one) => [one.split(' ')[0], one])).values()]
    return [`workspaceId ${Buffer.from(workspaceId).toString('base64')}`, ...unique].join(',')
  })
  return fc.oneof(named, mutated(named)).map(headerSafe)
}

/** Upload-Metadata: a created upload returns the header unchanged and starts at offset 0. */
export const metadata: Subject<string> = {
  name: 'Upload-Metadata',
  rows: 'S33, S36',
  cases: headers,
  async check(server, header) {
    const tus = { 'Tus-Resumable': '1.0.0' }
    const created = await sendRequest(server, {
      ...{ method: 'POST', path: '/uploads' },
      headers: { ...tus, 'Upload-Length': '3', 'Upload-Metadata': header },
    })
    checkResponse(created)
    if (created.status !== 201) return false
    const { pathname: path } = new URL(created.headers.location ?? '', server.url)
    const head = checkResponse(await sendRequest(server, { method: 'HEAD', path, headers: tus }))
    assertInvariant(
      head.headers['upload-offset'] === '0',
      'a new upload does not start at offset 0',
    )
    const returned = head.headers['upload-metadata'] ?? ''
    assertInvariant(returned === header.trim(), `HEAD returned ${JSON.stringify(returned)}`)
    return true
  },
}
