import { createHash } from 'node:crypto'
import fc from 'fast-check'
import type { FuzzServer } from '../fuzz-server.ts'
import { text } from '../inputs/texts.ts'
import type { Subject } from '../runs.ts'
import { assertInvariant, checkResponse, checkResult } from '../verify-answer.ts'
import { type FuzzResponse, type Headers, sendRequest } from '../wire.ts'
import { type Creation, creation, type Step, step, TYPE } from './transfer-steps.ts'

const TUS = { 'Tus-Resumable': '1.0.0' }
const optional = (arbitrary: fc.Arbitrary<string>) =>
  fc.option(arbitrary, { freq: 12, nil: undefined })
type Transfer = { creation: Creation; steps: Step[]; path: string | undefined }

/** Uploads with invalid requests in between: exactly the acknowledged bytes are stored, in order. */
export const transfers: Subject<Transfer> = {
  name: 'uploads',
  rows: 'S27',
  cases: () =>
    fc.record({
      creation,
      steps: fc.array(step, { minLength: 1, maxLength: 5 }),
      path: optional(text),
    }),
  async check(server, { creation, steps, path }) {
    const created = checkResponse(await create(server, creation, path))
    if (created.status !== 201) return false
    const { pathname } = new URL(created.headers.location ?? '', server.url)
    const known = { path: pathname, bytes: Buffer.alloc(0) }
    for (const one of steps) await sendStep(server, known, one)
    const last = await offsetOf(server, known.path)
    if (last && last.offset === last.length) await confirmAndCheck(server, last.id, known.bytes)
    else await cancel(server, known.path)
    return true
  },
}

function create(
  server: FuzzServer,
  { length, defer, concat, version, metadata }: Creation,
  path = '',
) {
  const workspace = `workspaceId ${Buffer.from(server.workspaceId).toString('base64')}`
  const headers = present({
    ...{ 'Tus-Resumable': version ?? '1.0.0', 'Upload-Length': defer === '1' ? undefined : length },
    ...{ 'Upload-Defer-Length': defer, 'Upload-Concat': concat },
    'Upload-Metadata':
      metadata === undefined ? withFileName(workspace) : `${workspace},${metadata}`,
  })
  return sendRequest(server, { method: 'POST', path: `/uploads${query(path)}`, headers })
}

let uploads = 0
const withFileName = (workspace: string) =>
  `${workspace},filename ${Buffer.from(`f-${++uploads}`).toString('base64')}`
const query = (path: string) =>
  path === '' ? '' : `?${encodeURI(path.toWellFormed()).replace(/#/g, '')}`
const present = (headers: Record<string, string | undefined>) =>
  Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined)) as Headers

type Known = { path: string; bytes: Buffer }

/** Sends a step and checks that the upload has its previous bytes and a prefix of the sent ones. */
async function sendStep(server: FuzzServer, known: Known, one: Step) {
  const before = await offsetOf(server, known.path)
  if (!before) return
  const body = Buffer.from(
    one.rest && before.length !== null ? filler(before.length - before.offset) : one.body,
  )
  const answer = checkResponse(await send(server, known.path, one, { before, body }))
  const after = await offsetOf(server, known.path)
  if (!after) return
  const received = after.offset - before.offset
  assertInvariant(
    received >= 0 && received <= body.length,
    `the offset went from ${before.offset} to ${after.offset}`,
  )
  assertInvariant(
    after.length === null || after.offset <= after.length,
    'the offset exceeds the length',
  )
  if (answer.status === 204 && answer.headers['upload-offset'])
    assertInvariant(
      Number(answer.headers['upload-offset']) === after.offset,
      'the offset of the response differs from the offset of HEAD',
    )
  known.bytes = Buffer.concat([known.bytes, body.subarray(0, received)])
  assertInvariant(
    known.bytes.length === after.offset,
    `sent ${known.bytes.length} bytes, but the offset is ${after.offset}`,
  )
}

const filler = (length: number) => Buffer.alloc(Math.max(0, Math.min(length, 5000)), 'abcdefg')

async function send(
  server: FuzzServer,
  path: string,
  one: Step,
  { before, body }: { before: UploadOffset; body: Buffer },
) {
  const { offset, type = TYPE, override, extra, checksum, length, chunked } = one
  const deltas: Record<string, number> = { right: 0, before: -1, after: 1 }
  const position = offset in deltas ? String(before.offset + (deltas[offset] ?? 0)) : offset
  const [name = 'X', value = ''] = (extra ?? 'X: y').split(': ')
  const headers = {
    ...{
      ...TUS,
      'Upload-Offset': position,
      'Content-Type': type,
      ...(length !== undefined && { 'Upload-Length': length }),
    },
    ...(override !== undefined && { 'X-HTTP-Method-Override': override }),
    ...(checksum !== undefined && { 'Upload-Checksum': digest(checksum, body) }),
    ...(/^[\w-]+$/.test(name) && { [name]: value }),
    ...(chunked && { 'Transfer-Encoding': 'chunked', 'content-length': [] }),
  }
  const method = override === undefined ? 'PATCH' : 'POST'
  return sendRequest(server, { method, path, headers, body })
}

function digest(kind: string, body: Buffer) {
  const right = createHash('sha1').update(body).digest('base64')
  if (kind === 'right') return `sha1 ${right}`
  return kind === 'wrong' ? `sha1 ${createHash('sha1').update('other').digest('base64')}` : kind
}

type UploadOffset = { id: string; offset: number; length: number | null }
async function offsetOf(server: FuzzServer, path: string): Promise<UploadOffset | null> {
  const { status, headers }: FuzzResponse = checkResponse(
    await sendRequest(server, { method: 'HEAD', path, headers: TUS }),
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

/** Confirms the upload and checks that the file has the acknowledged bytes. */
async function confirmAndCheck(server: FuzzServer, uploadId: string, bytes: Buffer) {
  const query = `mutation ($input: ConfirmUploadInput!) { confirmUpload(input: $input) {
    ... on ConfirmUploadPayload { file { id sha256 } } ... on UserError { code } } }`
  const body = JSON.stringify({ query, variables: { input: { uploadId } } })
  const headers = { 'content-type': 'application/json' }
  const { data } = checkResult(
    await sendRequest(server, { method: 'POST', path: '/graphql', headers, body }),
  )
  const { file } = data.confirmUpload
  if (!file) return
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  assertInvariant(file.sha256 === sha256, 'the hash of the file is wrong')
  const download = checkResponse(await sendRequest(server, { path: `/download/${file.id}` }))
  assertInvariant(download.body.equals(bytes), 'the file differs from the sent bytes')
}

async function cancel(server: FuzzServer, path: string) {
  checkResponse(
    await sendRequest(server, { method: 'DELETE', path, headers: { 'Tus-Resumable': '1.0.0' } }),
  )
}
