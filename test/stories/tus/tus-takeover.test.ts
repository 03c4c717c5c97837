import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { confirmUpload, createUpload, download } from '../../support/client.ts'
import { openTus, rawPatch, serveUploads, until } from '../../support/network/tus.ts'
import { timingRetries } from '../../support/timed.ts'

const MIB = 1024 * 1024

async function openStalledPatch(arrived = 'hello', size = 11) {
  const tus = await openTus()
  const upload = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a.txt',
    size,
  })
  const raw = await rawPatch(tus.holdall, upload.url, 0, size)
  await raw.write(arrived)
  await sleep(50)
  const close = () => {
    raw.socket.destroy()
    return tus[Symbol.asyncDispose]()
  }
  return { ...tus, upload, url: upload.url, raw, [Symbol.asyncDispose]: close }
}

test(
  'F9: HEAD during a stalled PATCH takes no longer than its bytes, and is never ahead of the durable ones',
  timingRetries,
  async () => {
    await using tus = await openTus()
    const size = 9 * MIB
    const times: { patch: number[]; head: number[] } = { patch: [], head: [] }
    const timed = async <T>(kind: keyof typeof times, act: () => Promise<T>) => {
      const startedAt = performance.now()
      const result = await act()
      times[kind].push(performance.now() - startedAt)
      return result
    }
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      const { url } = await createUpload(tus.holdall, { workspaceId: tus.workspaceId, name, size })
      const raw = await rawPatch(tus.holdall, url, 0, size)
      await raw.write('x'.repeat(8 * MIB))
      await raw.whenRead(8 * MIB)
      expect(await timed('head', () => tus.offset(url))).toBe(8 * MIB)
      raw.socket.destroy()
      const whole = { workspaceId: tus.workspaceId, name: `whole-${name}`, size: 8 * MIB }
      const other = await createUpload(tus.holdall, whole)
      await timed('patch', () => tus.patch(other.url, 0, 'x'.repeat(8 * MIB)))
    }
    for await (const staged of tus.holdall.app.blobs.list('staged'))
      expect(staged.size).toBe(8 * MIB)
    // Medians of five, as the machine may be busy. The received bytes are stored before they are reported.
    const median = (values: number[]) => values.sort((a, b) => a - b)[2] ?? 0
    expect(median(times.head)).toBeLessThan(1.5 * median(times.patch))
  },
)

test('F9: the next PATCH continues at the offset that HEAD returns', async () => {
  await using tus = await openStalledPatch()
  const offset = await tus.offset(tus.url)
  expect(offset).toBe(5)
  const response = await tus.patch(tus.url, offset, ' world')
  expect([response.status, response.headers.get('upload-offset')]).toEqual([204, '11'])
  const { status, headers } = await tus.raw.answer()
  expect([status, headers.get('upload-offset')]).toEqual([423, '5'])
})

test(
  'F9: a newer PATCH ends a stalled one at once, and received bytes are kept',
  timingRetries,
  async () => {
    await using tus = await openStalledPatch()
    const startedAt = performance.now()
    const response = await tus.patch(tus.url, 5, ' world')
    expect(performance.now() - startedAt).toBeLessThan(500)
    expect(response.status).toBe(204)
    expect((await tus.raw.answer()).status).toBe(423)
    const file = await confirmUpload(tus.holdall, { uploadId: tus.upload.id })
    expect((await download(tus.holdall, file.id)).toString()).toBe('hello world')
  },
)

test('F9: later bytes of a superseded request are ignored', async () => {
  await using tus = await openStalledPatch()
  await tus.patch(tus.url, 5, ' there')
  await tus.raw.write(' world')
  await sleep(50)
  const file = await confirmUpload(tus.holdall, { uploadId: tus.upload.id })
  expect((await download(tus.holdall, file.id)).toString()).toBe('hello there')
})

test('DELETE during a stalled PATCH ends both', async () => {
  await using tus = await openStalledPatch()
  expect((await tus.terminate(tus.url)).status).toBe(204)
  expect((await tus.raw.answer()).status).toBe(423)
  expect((await tus.head(tus.url)).status).toBe(410)
  expect(await Array.fromAsync(tus.holdall.app.blobs.list('staged'))).toEqual([])
})

test('cancelUpload during a PATCH: its bytes do not count, and none stay', async () => {
  await using tus = await openStalledPatch()
  const { cancelUpload } = await tus.holdall.ask(
    `mutation ($id: ID!) { cancelUpload(input: { uploadId: $id }) {
      ... on CancelUploadPayload { upload { status } } ... on UserError { code } } }`,
    { id: tus.upload.id },
  )
  expect(cancelUpload).toEqual({ upload: { status: 'CANCELED' } })
  await tus.raw.write(' world')
  expect((await tus.raw.answer()).status).toBe(410)
  expect(await Array.fromAsync(tus.holdall.app.blobs.list('staged'))).toEqual([])
})

test('F9: concurrent PATCHes leave one whole upload, and none is answered 5xx', async () => {
  await using tus = await openTus()
  const body = 'x'.repeat(MIB)
  const { url, id } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: MIB,
  })
  const statuses = await Promise.all(
    Array.from({ length: 20 }, async () => (await tus.patch(url, 0, body)).status),
  )
  expect(new Set(statuses).difference(new Set([204, 409, 413, 423]))).toEqual(new Set())
  const offset = await tus.offset(url)
  if (offset < MIB) expect((await tus.patch(url, offset, body.slice(offset))).status).toBe(204)
  expect((await confirmUpload(tus.holdall, { uploadId: id })).size).toBe(MIB)
})

test('F9: a flood of requests for one upload is 423 with Retry-After, never 5xx', async () => {
  await using tus = await openStalledPatch()
  const answers = await Promise.all(Array.from({ length: 60 }, () => tus.head(tus.url)))
  const statuses = answers.map(({ status }) => status)
  expect(new Set(statuses).difference(new Set([200, 423]))).toEqual(new Set())
  for (const { status, headers } of answers)
    if (status === 423) expect(headers.get('retry-after')).toBe('1')
  expect(await tus.offset(tus.url)).toBe(5)
})

test('F20: at shutdown the received bytes are kept and the answer is 423, and a client can resume', async () => {
  await using tus = await openStalledPatch()
  const restarted = tus.holdall.restart()
  const { status, headers } = await tus.raw.answer()
  expect([status, headers.get('upload-offset'), headers.get('retry-after')]).toEqual([
    423,
    '5',
    '1',
  ])
  await restarted
  expect(await tus.offset(tus.url)).toBe(5)
  expect((await tus.patch(tus.url, 5, ' world')).status).toBe(204)
  const file = await confirmUpload(tus.holdall, { uploadId: tus.upload.id })
  expect((await download(tus.holdall, file.id)).toString()).toBe('hello world')
})

test('F20: during shutdown HEAD and PATCH are 423 with Retry-After', async () => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 5,
  })
  await using endpoint = await serveUploads(tus.holdall, { idleMs: 60_000 })
  await endpoint.drain()
  const here = `${endpoint.url}${new URL(url).pathname}`
  for (const response of [await tus.head(here), await tus.patch(here, 0, 'hello')]) {
    expect([response.status, response.headers.get('retry-after')]).toEqual([423, '1'])
    expect(response.headers.get('tus-resumable')).toBe('1.0.0')
  }
})

test('S25, F9: a client that sends a byte now and then is tolerated; a silent one is not', async () => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 10,
  })
  await using endpoint = await serveUploads(tus.holdall, { idleMs: 200 })
  const raw = await rawPatch(tus.holdall, `${endpoint.url}${new URL(url).pathname}`, 0, 10)
  for (const byte of 'slowly') {
    await raw.write(byte)
    await sleep(100)
  }
  expect(raw.received).toBe('')
  expect((await raw.answer()).status).toBe(423)
  expect(await tus.offset(url)).toBe(6)
  raw.socket.destroy()
})

test('F9: a connection reset within a body keeps the received bytes, durably', async () => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 4 * MIB,
  })
  const raw = await rawPatch(tus.holdall, url, 0, 4 * MIB)
  await raw.write('x'.repeat(3 * MIB))
  await raw.whenRead(3 * MIB)
  raw.socket.resetAndDestroy()
  await once(raw.socket, 'close')
  await until(async () => (await tus.offset(url)) === 3 * MIB)
  const [staged] = await Array.fromAsync(tus.holdall.app.blobs.list('staged'))
  expect(staged?.size).toBe(3 * MIB)
})

test('413 reaches a client that is still sending', async () => {
  await using tus = await openTus()
  const { url } = await createUpload(tus.holdall, {
    workspaceId: tus.workspaceId,
    name: 'a',
    size: 5,
  })
  const raw = await rawPatch(tus.holdall, url, 0, 64 * MIB)
  void raw.write(Buffer.alloc(64 * MIB))
  expect((await raw.answer()).status).toBe(413)
  raw.socket.destroy()
})
