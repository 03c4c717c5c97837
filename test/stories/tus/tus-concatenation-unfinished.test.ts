import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { expireUploads } from '../../../src/domains/uploads/jobs.ts'
import { act, download, entryByPath, usageOf } from '../../support/client.ts'
import { keysOf } from '../../support/data/bytes.ts'
import { metadata, openTus, until } from '../../support/network/tus.ts'

// tus 1.0.0, "Concatenation": parts that are still arriving (extension concatenation-unfinished).

const KIB = 1024
type Tus = Awaited<ReturnType<typeof openTus>>

const openPart = ({ create, workspaceId }: Tus, size: number) =>
  create({ workspaceId }, { 'Upload-Length': String(size), 'Upload-Concat': 'partial' })

const final = ({ post, workspaceId }: Tus, urls: string[]) =>
  post({
    'Upload-Concat': `final;${urls.join(' ')}`,
    'Upload-Metadata': metadata({ workspaceId, filename: 'whole.bin', confirm: 'auto' }),
  })

/** Opens three parts of 64 KiB of random bytes; the first half of the first has arrived. */
async function openParts(tus: Tus) {
  const bytes = [0, 1, 2].map(() => randomBytes(64 * KIB))
  const urls: string[] = []
  for (const part of bytes) urls.push(await openPart(tus, part.length))
  const [url = ''] = urls
  expect((await tus.patch(url, 0, bytes[0]?.subarray(0, 32 * KIB) ?? '')).status).toBe(204)
  const send = (i: number, from = 0) =>
    tus.patch(urls[i] ?? '', from, bytes[i]?.subarray(from) ?? '')
  return { urls, bytes: Buffer.concat(bytes), send }
}

const locationOf = (response: Response) => response.headers.get('location') ?? ''

test('the server MUST add concatenation-unfinished to Tus-Extension', async () => {
  await using tus = await openTus()
  const { headers } = await tus.options()
  expect(headers.get('tus-extension')?.split(',')).toContain('concatenation-unfinished')
})

test('the final upload fills while its parts arrive in any order, and becomes the file', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const { urls, bytes, send } = await openParts(tus)
  const made = await final(tus, urls)
  expect([made.status, made.headers.get('holdall-upload-status')]).toEqual([201, 'CREATED'])
  const whole = locationOf(made)
  const head = await tus.head(whole)
  expect(head.headers.get('upload-offset')).toBe(null)
  expect(head.headers.get('upload-length')).toBe(String(bytes.length))
  for (const [i, from] of [
    [2, 0],
    [0, 32 * KIB],
    [1, 0],
  ] as const)
    expect((await send(i, from)).status).toBe(204)
  await until(
    async () => (await tus.head(whole)).headers.get('holdall-upload-status') === 'COMPLETE',
  )
  const file = await entryByPath(holdall, workspaceId, 'whole.bin')
  expect((await download(holdall, file?.id ?? '')).equals(bytes)).toBe(true)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
  await until(async () => (await keysOf(holdall, 'staged')).length === 0)
})

test('the space of the parts is reserved once, in a workspace that is full with them', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const { urls, bytes, send } = await openParts(tus)
  await act(holdall, 'updateWorkspace', { workspaceId, quotaBytes: bytes.length }, '__typename')
  const whole = locationOf(await final(tus, urls))
  const reservedBytes = bytes.length
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes })
  for (const [i, from] of [
    [0, 32 * KIB],
    [1, 0],
  ] as const)
    expect((await send(i, from)).status).toBe(204)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes })
  expect((await send(2)).status).toBe(204)
  await until(
    async () => (await tus.head(whole)).headers.get('holdall-upload-status') === 'COMPLETE',
  )
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    reservedBytes: 0,
    currentBytes: bytes.length,
  })
})

test('the final upload continues after a restart of the server', async () => {
  await using tus = await openTus()
  const { urls, send } = await openParts(tus)
  const whole = locationOf(await final(tus, urls))
  await send(0, 32 * KIB)
  await tus.holdall.restart()
  await send(1)
  await send(2)
  await until(
    async () => (await tus.head(whole)).headers.get('holdall-upload-status') === 'COMPLETE',
  )
})

test('a repeated final POST returns the same upload; no other final upload gets the parts', async () => {
  await using tus = await openTus()
  const { urls } = await openParts(tus)
  const [first, second] = await Promise.all([final(tus, urls), final(tus, urls)])
  expect(locationOf(second)).toBe(locationOf(first))
  expect((await final(tus, urls.slice(1))).status).toBe(422)
})

test('without one of its parts the final upload ends, with the other parts', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const { urls, send } = await openParts(tus)
  const whole = locationOf(await final(tus, urls))
  await tus.terminate(urls[1] ?? '')
  await send(0, 32 * KIB)
  await until(async () => (await tus.head(whole)).status === 410)
  await until(async () => (await tus.head(urls[2] ?? '')).status === 410)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
  expect(await keysOf(holdall, 'staged')).toEqual([])
})

test('a terminated final upload ends its parts', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const { urls } = await openParts(tus)
  const whole = locationOf(await final(tus, urls))
  expect((await tus.terminate(whole)).status).toBe(204)
  await holdall.app.jobs.runDue()
  for (const url of urls) expect((await tus.head(url)).status).toBe(410)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
})

test('the final upload of a slow part does not expire before it', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using tus = await openTus({ now: () => now })
  const { holdall, workspaceId } = tus
  const { urls, send } = await openParts(tus)
  await send(1)
  const whole = locationOf(await final(tus, urls))
  const [first = ''] = urls
  for (let i = 0; i < 3; i++) {
    now += 20 * 3_600_000
    expect((await tus.patch(first, (32 + i) * KIB, randomBytes(KIB))).status).toBe(204)
  }
  expect((await tus.head(whole)).status).toBe(200)
  expect((await send(2)).status).toBe(204)
  now += 25 * 3_600_000
  expect((await tus.head(whole)).status).toBe(410)
  await expireUploads({ ...holdall.app, viewer: null, publicUrl: '' })
  await holdall.app.jobs.runDue()
  for (const url of urls) expect((await tus.head(url)).status).toBe(410)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
})

test('a part of unknown length cannot be concatenated yet', async () => {
  await using tus = await openTus()
  const { workspaceId } = tus
  const url = await tus.create(
    { workspaceId },
    { 'Upload-Defer-Length': '1', 'Upload-Concat': 'partial' },
  )
  const refused = await final(tus, [url])
  expect([refused.status, await refused.json()]).toMatchObject([409, { code: 'UPLOAD_INCOMPLETE' }])
})
