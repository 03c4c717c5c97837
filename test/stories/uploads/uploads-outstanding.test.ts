import { describe, expect, onTestFinished, test } from 'vitest'
import { expireUploads } from '../../../src/domains/uploads/jobs.ts'
import {
  act,
  attempt,
  confirmUpload,
  createWorkspace,
  download,
  sendBytes,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

async function open(env: Record<string, string>) {
  let now = Date.now()
  const holdall = await startTestServer({ now: () => now, env: { UPLOAD_TTL_HOURS: '1', ...env } })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const { id: workspaceId } = await createWorkspace(holdall)
  let made = 0
  const names = () => `upload ${++made}`
  return {
    holdall,
    workspaceId,
    tus: tusOf(holdall),
    create: (input: object = {}, as = {}) =>
      attempt(
        holdall,
        'createUpload',
        { workspaceId, name: names(), size: 2, ...input },
        'upload { id url headers { name value } }',
        as,
      ),
    post: (headers: Record<string, string> = { 'Upload-Length': '2' }) =>
      tusOf(holdall).post({
        'Upload-Metadata': metadata({ workspaceId, filename: names() }),
        ...headers,
      }),
    form: (bytes = 'hi', fields = {}, options = {}) =>
      postForm(holdall, { workspaceId, ...fields, file: { name: names(), bytes } }, options),
    expire() {
      now += 3_600_000
      return expireUploads({ ...holdall.app, viewer: null, publicUrl: '' })
    },
  }
}
type Here = Awaited<ReturnType<typeof open>>

const codeOf = ({ code }: { code?: string }) => code ?? 'made'

/** The number of unfinished uploads and their reservation, from the rows. */
async function held({ holdall }: Here) {
  const { db } = holdall.app
  const rows = await db.selectFrom('uploads').select(['status', 'reservedBytes']).execute()
  const open = rows.filter(({ status }) => /^(CREATED|RECEIVING|RECEIVED)$/.test(status))
  return { uploads: open.length, bytes: open.reduce((sum, row) => sum + row.reservedBytes, 0) }
}

describe('S26: the number of unfinished uploads of a user is limited', () => {
  test('over all endpoints; the error says what to do', async () => {
    const here = await open({ MAX_OPEN_UPLOADS: '3' })
    const { holdall, create, post, form, workspaceId } = here
    const first = await create({ idempotencyKey: 'first' })
    expect([codeOf(await create({ transport: 'SIGNED_PUT' })), (await post()).status]).toEqual([
      'made',
      201,
    ])
    const query = `mutation ($input: CreateUploadInput!) { createUpload(input: $input) {
      ... on RateLimitedError { code message retryable retryAfterSeconds } } }`
    const input = { workspaceId, name: 'one more', size: 2 }
    expect((await holdall.ask(query, { input })).createUpload).toEqual({
      code: 'RATE_LIMITED',
      message:
        'you have 3 unfinished uploads (limit 3): confirm or cancel some of them first; try again in 60 s',
      retryable: true,
      retryAfterSeconds: 60,
    })
    expect(codeOf(await create({ transport: 'SIGNED_PUT' }))).toBe('RATE_LIMITED')
    const lengths = [
      { 'Upload-Length': '2' },
      { 'Upload-Length': '0' },
      { 'Upload-Defer-Length': '1' },
      { 'Upload-Length': '2', 'Upload-Concat': 'partial' },
    ]
    for (const length of lengths) {
      const { status, headers } = await post(length)
      expect([status, headers.get('retry-after')]).toEqual([429, '60'])
    }
    for (const options of [{}, { query: `?workspaceId=${workspaceId}` }]) {
      const { status, headers, body } = await form('hi', {}, options)
      expect([status, headers.get('retry-after'), body.code]).toEqual([429, '60', 'RATE_LIMITED'])
    }
    // Existing uploads are returned as before.
    expect((await create({ idempotencyKey: 'first' })).upload.id).toBe(first.upload.id)
    expect(await held(here)).toEqual({ uploads: 3, bytes: 6 })
    // Refused uploads have left no bytes behind.
    const staged = await Array.fromAsync(holdall.app.blobs.list('staged'))
    expect(staged.filter(({ size }) => size > 0)).toEqual([])
  })

  test('in a batch it is the error of that item', async () => {
    const here = await open({ MAX_OPEN_UPLOADS: '2' })
    const batch = async (mode: string) => {
      const uploads = ['a', 'b', 'c'].map((name) => ({
        workspaceId: here.workspaceId,
        name,
        size: 2,
      }))
      const { results } = await act(
        here.holdall,
        'createUploads',
        { uploads, mode },
        'results { upload { id } error { code } }',
      )
      return results.map(({ error }: { error: { code: string } | null }) => error?.code ?? 'made')
    }
    expect(await batch('ALL_OR_NOTHING')).toEqual([
      'BATCH_ABORTED',
      'BATCH_ABORTED',
      'RATE_LIMITED',
    ])
    expect(await held(here)).toEqual({ uploads: 0, bytes: 0 })
    // Each by itself, and several concurrently.
    expect((await batch('BEST_EFFORT')).sort()).toEqual(['RATE_LIMITED', 'made', 'made'])
    expect(await held(here)).toEqual({ uploads: 2, bytes: 4 })
  })

  test('confirm, cancel, expiry and wrong bytes end an upload; receiving all bytes does not', async () => {
    const here = await open({ MAX_OPEN_UPLOADS: '1' })
    const { holdall, create, form } = here
    const { upload } = await create()
    await sendBytes(holdall, upload, 'hi')
    expect(codeOf(await create())).toBe('RATE_LIMITED')
    await confirmUpload(holdall, { uploadId: upload.id })
    const canceled = await create()
    expect(codeOf(await create())).toBe('RATE_LIMITED')
    await act(holdall, 'cancelUpload', { uploadId: canceled.upload.id }, '__typename')
    const wrong = await create({ sha256: '0'.repeat(64) })
    await sendBytes(holdall, wrong.upload, 'hi')
    const failed = await attempt(
      holdall,
      'confirmUpload',
      { uploadId: wrong.upload.id },
      '__typename',
    )
    expect(failed.code).toBe('CHECKSUM_MISMATCH')
    expect(codeOf(await create())).toBe('made')
    expect(codeOf(await create())).toBe('RATE_LIMITED')
    expect(await here.expire()).toBe(1)
    // A form has its own upload, which ends with it.
    for (let i = 0; i < 3; i++) expect((await form()).status).toBe(201)
    const query = `?workspaceId=${here.workspaceId}`
    for (let i = 0; i < 3; i++) expect((await form('hi', {}, { query })).status).toBe(201)
    expect(codeOf(await create())).toBe('made')
  })

  test('without affecting other users, or other workspaces of the same user', async () => {
    const here = await open({ MAX_OPEN_UPLOADS: '1' })
    const { token } = await invite(here.holdall, here.workspaceId)
    expect(codeOf(await here.create())).toBe('made')
    expect(codeOf(await here.create({}, { token }))).toBe('made')
    expect(codeOf(await here.create({}, { token }))).toBe('RATE_LIMITED')
    const { id: workspaceId } = await createWorkspace(here.holdall)
    expect(codeOf(await here.create({ workspaceId }))).toBe('RATE_LIMITED')
    const file = { workspaceId: here.workspaceId, name: 'a', bytes: 'x' }
    await expect(uploadFile(here.holdall, file)).rejects.toThrow('RATE_LIMITED')
  })

  test('parts can be joined at the limit', async () => {
    const here = await open({ MAX_OPEN_UPLOADS: '2' })
    const { holdall, post, tus, workspaceId } = here
    const part = async (bytes: string) => {
      const length = { 'Upload-Length': `${bytes.length}`, 'Upload-Concat': 'partial' }
      const url = (await post(length)).headers.get('location') ?? ''
      expect((await tus.patch(url, 0, bytes)).status).toBe(204)
      return url
    }
    const urls = [await part('hello '), await part('world')]
    expect((await post()).status).toBe(429)
    const final = await post({ 'Upload-Concat': `final;${urls.join(' ')}` })
    expect(final.status).toBe(201)
    const uploadId = final.headers.get('holdall-upload-id') ?? ''
    const file = await confirmUpload(holdall, { uploadId })
    expect((await download(holdall, file.id)).toString()).toBe('hello world')
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
    expect([(await post()).status, (await post()).status]).toEqual([201, 201])
  })

  test('fifty concurrent requests, in two workspaces and by three endpoints, reach it and do not exceed it', async () => {
    const here = await open({ MAX_OPEN_UPLOADS: '20' })
    const { id: other } = await createWorkspace(here.holdall)
    const begin = [
      async () => codeOf(await here.create()),
      async () => codeOf(await here.create({ workspaceId: other })),
      async () => ((await here.post()).status === 201 ? 'made' : 'RATE_LIMITED'),
      async () => codeOf(await here.create({ workspaceId: other, transport: 'SIGNED_PUT' })),
    ]
    const codes = await Promise.all(
      Array.from({ length: 50 }, (_, i) => begin[i % begin.length]?.()),
    )
    expect(Object.groupBy(codes, (code) => code ?? '').made).toHaveLength(20)
    expect(new Set(codes)).toEqual(new Set(['made', 'RATE_LIMITED']))
    expect(await held(here)).toEqual({ uploads: 20, bytes: 40 })
  })
})

describe('S26: the reserved bytes of the unfinished uploads of a user are limited', () => {
  const limits = { MAX_RESERVED_BYTES: '1000', MAX_UPLOAD_BYTES: '1000' }

  test('independently of the quota; they are released in the same ways', async () => {
    const here = await open(limits)
    const { holdall, create, post, form } = here
    const large = await create({ size: 900 })
    const refused = await create({ size: 101 })
    expect(refused).toMatchObject({ code: 'RATE_LIMITED', retryable: true })
    expect(refused.message).toBe(
      'your unfinished uploads reserve 900 bytes, and 101 more exceed the limit of 1000 bytes: confirm or cancel some of them first; try again in 60 s',
    )
    expect((await post({ 'Upload-Length': '101' })).status).toBe(429)
    expect((await form('x'.repeat(101))).status).toBe(429)
    const { id: workspaceId } = await createWorkspace(holdall)
    expect(codeOf(await create({ size: 101, workspaceId }))).toBe('RATE_LIMITED')
    expect(codeOf(await create({ size: 0 }))).toBe('made')
    expect(codeOf(await create({ size: 100, workspaceId }))).toBe('made')
    const { token } = await invite(holdall, here.workspaceId)
    expect(codeOf(await create({ size: 1000 }, { token }))).toBe('made')
    await sendBytes(holdall, large.upload, 'x'.repeat(900))
    expect(codeOf(await create({ size: 101 }))).toBe('RATE_LIMITED')
    await confirmUpload(holdall, { uploadId: large.upload.id })
    expect(codeOf(await create({ size: 900 }))).toBe('made')
    expect(await here.expire()).toBe(4)
    expect(codeOf(await create({ size: 1000 }))).toBe('made')
  })

  test('also for deferred lengths, and received bytes are kept', async () => {
    const here = await open(limits)
    const { create, tus, holdall } = here
    const unknown = async () => (await create({ size: null })).upload
    const [one, other] = [await unknown(), await unknown()]
    expect((await tus.patch(one.url, 0, 'x'.repeat(600))).status).toBe(204)
    const declared = await tus.patch(other.url, 0, '', { 'Upload-Length': '401' })
    expect([declared.status, declared.headers.get('retry-after')]).toEqual([429, '60'])
    expect((await tus.patch(other.url, 0, 'x'.repeat(401))).status).toBe(429)
    expect((await tus.patch(other.url, 0, 'x'.repeat(400))).status).toBe(204)
    expect((await tus.patch(other.url, 400, 'x')).status).toBe(429)
    expect([await tus.offset(one.url), await tus.offset(other.url)]).toEqual([600, 400])
    expect(await held(here)).toEqual({ uploads: 2, bytes: 1000 })
    await act(holdall, 'cancelUpload', { uploadId: one.id }, '__typename')
    expect((await tus.patch(other.url, 400, 'x', { 'Upload-Length': '401' })).status).toBe(204)
    expect((await confirmUpload(holdall, { uploadId: other.id })).size).toBe(401)
  })

  test('fifty concurrent requests, in two workspaces, new and growing, never exceed it', async () => {
    const here = await open(limits)
    const { id: other } = await createWorkspace(here.holdall)
    const places = [here.workspaceId, other]
    const growing = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        const made = await here.create({ size: null, workspaceId: places[i % 2] })
        return made.upload.url as string
      }),
    )
    const codes = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        const url = growing[i / 5]
        if (!url) return codeOf(await here.create({ size: 40, workspaceId: places[i % 2] }))
        const { status } = await here.tus.patch(url, 0, 'x'.repeat(40))
        return status === 204 ? 'made' : `${status}`
      }),
    )
    expect(codes.filter((code) => code === 'made')).toHaveLength(25)
    expect(new Set(codes).difference(new Set(['made', 'RATE_LIMITED', '429']))).toEqual(new Set())
    expect((await held(here)).bytes).toBe(1000)
  })
})
