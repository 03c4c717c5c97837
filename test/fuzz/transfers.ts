import { createHash } from 'node:crypto'
import fc from 'fast-check'
import type { Ground } from './fuzz-server.ts'
import type { Subject } from './runs.ts'
import { text } from './texts.ts'
import { type Creation, creation, type Step, step, TYPE } from './transfer-steps.ts'
import { insist, sound, soundResult } from './verify-answer.ts'
import { type Answer, ask, type Headers } from './wire.ts'

const TUS = { 'Tus-Resumable': '1.0.0' }
const rarely = (arbitrary: fc.Arbitrary<string>) =>
  fc.option(arbitrary, { freq: 12, nil: undefined })
type Transfer = { creation: Creation; steps: Step[]; path: string | undefined }

/** Whole uploads with something wrong here and there: what was acknowledged is there, in its place, and nothing else. */
export const transfers: Subject<Transfer> = {
  name: 'uploads',
  rows: 'S27',
  cases: () =>
    fc.record({
      creation,
      steps: fc.array(step, { minLength: 1, maxLength: 5 }),
      path: rarely(text),
    }),
  async check(ground, { creation, steps, path }) {
    const made = sound(await create(ground, creation, path))
    if (made.status !== 201) return false
    const { pathname } = new URL(made.headers.location ?? '', ground.url)
    const known = { path: pathname, bytes: Buffer.alloc(0) }
    for (const one of steps) await patched(ground, known, one)
    const end = await offsetOf(ground, known.path)
    if (end && end.offset === end.length) await confirmed(ground, end.id, known.bytes)
    else await cancelled(ground, known.path)
    return true
  },
}

function create(ground: Ground, { length, defer, concat, version, metadata }: Creation, path = '') {
  const said = `workspaceId ${Buffer.from(ground.workspaceId).toString('base64')}`
  const headers = present({
    ...{ 'Tus-Resumable': version ?? '1.0.0', 'Upload-Length': defer === '1' ? undefined : length },
    ...{ 'Upload-Defer-Length': defer, 'Upload-Concat': concat },
    'Upload-Metadata': metadata === undefined ? named(said) : `${said},${metadata}`,
  })
  return ask(ground, { method: 'POST', path: `/uploads${query(path)}`, headers })
}

let uploads = 0
const named = (said: string) =>
  `${said},filename ${Buffer.from(`f-${++uploads}`).toString('base64')}`
const query = (path: string) =>
  path === '' ? '' : `?${encodeURI(path.toWellFormed()).replace(/#/g, '')}`
const present = (headers: Record<string, string | undefined>) =>
  Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)) as Headers

type Known = { path: string; bytes: Buffer }

/** What the house has afterwards: what it had, and of a step at the right place some of its first bytes. */
async function patched(ground: Ground, known: Known, one: Step) {
  const before = await offsetOf(ground, known.path)
  if (!before) return
  const body = Buffer.from(
    one.rest && before.length !== null ? filler(before.length - before.offset) : one.body,
  )
  const answer = sound(await send(ground, known.path, one, { before, body }))
  const after = await offsetOf(ground, known.path)
  if (!after) return
  const more = after.offset - before.offset
  insist(
    more >= 0 && more <= body.length,
    `the offset went from ${before.offset} to ${after.offset}`,
  )
  insist(after.length === null || after.offset <= after.length, 'more than the length')
  if (answer.status === 204 && answer.headers['upload-offset'])
    insist(Number(answer.headers['upload-offset']) === after.offset, 'two offsets')
  known.bytes = Buffer.concat([known.bytes, body.subarray(0, more)])
  insist(known.bytes.length === after.offset, `${known.bytes.length} sent, ${after.offset} there`)
}

const filler = (length: number) => Buffer.alloc(Math.max(0, Math.min(length, 5000)), 'abcdefg')

async function send(
  ground: Ground,
  path: string,
  one: Step,
  { before, body }: { before: Place; body: Buffer },
) {
  const { offset, type = TYPE, override, extra, checksum, length, chunked } = one
  const places: Record<string, number> = { right: 0, before: -1, behind: 1 }
  const place = offset in places ? String(before.offset + (places[offset] ?? 0)) : offset
  const [name = 'X', value = ''] = (extra ?? 'X: y').split(': ')
  const headers = {
    ...{
      ...TUS,
      'Upload-Offset': place,
      'Content-Type': type,
      ...(length !== undefined && { 'Upload-Length': length }),
    },
    ...(override !== undefined && { 'X-HTTP-Method-Override': override }),
    ...(checksum !== undefined && { 'Upload-Checksum': digest(checksum, body) }),
    ...(/^[\w-]+$/.test(name) && { [name]: value }),
    ...(chunked && { 'Transfer-Encoding': 'chunked', 'content-length': [] }),
  }
  const method = override === undefined ? 'PATCH' : 'POST'
  return ask(ground, { method, path, headers, body })
}

function digest(kind: string, body: Buffer) {
  const right = createHash('sha1').update(body).digest('base64')
  if (kind === 'right') return `sha1 ${right}`
  return kind === 'wrong' ? `sha1 ${createHash('sha1').update('other').digest('base64')}` : kind
}

type Place = { id: string; offset: number; length: number | null }
async function offsetOf(ground: Ground, path: string): Promise<Place | null> {
  const { status, headers }: Answer = sound(
    await ask(ground, { method: 'HEAD', path, headers: TUS }),
  )
  if (status !== 200) return null
  const length = headers['upload-length']
  const id = String(headers['holdall-upload-id'])
  return {
    id,
    offset: Number(headers['upload-offset']),
    length: length === undefined ? null : Number(length),
  }
}

/** The file has the bytes that were acknowledged, and then goes. */
async function confirmed(ground: Ground, uploadId: string, bytes: Buffer) {
  const query = `mutation ($input: ConfirmUploadInput!) { confirmUpload(input: $input) {
    ... on ConfirmUploadPayload { file { id sha256 } } ... on UserError { code } } }`
  const body = JSON.stringify({ query, variables: { input: { uploadId } } })
  const headers = { 'content-type': 'application/json' }
  const { data } = soundResult(
    await ask(ground, { method: 'POST', path: '/graphql', headers, body }),
  )
  const { file } = data.confirmUpload
  if (!file) return
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  insist(file.sha256 === sha256, 'the file is not what was sent')
  const download = sound(await ask(ground, { path: `/download/${file.id}` }))
  insist(download.body.equals(bytes), 'a byte is out of its place')
}

async function cancelled(ground: Ground, path: string) {
  sound(await ask(ground, { method: 'DELETE', path, headers: { 'Tus-Resumable': '1.0.0' } }))
}
