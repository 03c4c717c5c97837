import fc from 'fast-check'
import type { Ground } from './fuzz-server.ts'
import type { Subject } from './runs.ts'
import { headerSafe, near, text } from './texts.ts'
import { insist, sound } from './verify-answer.ts'
import { ask } from './wire.ts'

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
const values = fc.oneof(words, near(words), text)
const pair = fc
  .tuple(fc.oneof({ weight: 9, arbitrary: keys }, { weight: 1, arbitrary: text }), values)
  .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)

/** A header as a client writes it, with up to three things wrong. */
const headers = ({ workspaceId }: Ground) => {
  const named = fc.array(pair, { maxLength: 4 }).map((pairs) => {
    const unique = [...new Map(pairs.map((one) => [one.split(' ')[0], one])).values()]
    return [`workspaceId ${Buffer.from(workspaceId).toString('base64')}`, ...unique].join(',')
  })
  return fc.oneof(named, near(named)).map(headerSafe)
}

/** Upload-Metadata of a creation: an upload that is made gives it back to the byte, and takes bytes where it says. */
export const metadata: Subject<string> = {
  name: 'Upload-Metadata',
  rows: 'S33, S36',
  cases: headers,
  async check(ground, header) {
    const tus = { 'Tus-Resumable': '1.0.0' }
    const made = await ask(ground, {
      ...{ method: 'POST', path: '/uploads' },
      headers: { ...tus, 'Upload-Length': '3', 'Upload-Metadata': header },
    })
    sound(made)
    if (made.status !== 201) return false
    const { pathname: path } = new URL(made.headers.location ?? '', ground.url)
    const head = sound(await ask(ground, { method: 'HEAD', path, headers: tus }))
    insist(head.headers['upload-offset'] === '0', 'a new upload begins at 0')
    const told = head.headers['upload-metadata'] ?? ''
    insist(told === header.trim(), `gave back ${JSON.stringify(told)}`)
    return true
  },
}
