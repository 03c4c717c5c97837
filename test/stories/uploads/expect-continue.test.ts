import { expect, test } from 'vitest'
import { createUpload } from '../../support/client.ts'
import { metadata, OFFSET_TYPE, openTus, rawRequest } from '../../support/network/tus.ts'

// RFC 9110, section 10.1.1: a client that expects 100 waits for it before it sends the body.

const expects = { Expect: '100-continue' }
type Tus = Awaited<ReturnType<typeof openTus>>
type Headers = Record<string, string>

/** Sends the head of a request, then `body` once 100 has arrived. Returns the final status. */
async function ask({ holdall }: Tus, method: string, url: string, headers: Headers, body: string) {
  const raw = await rawRequest(holdall, method, url, {
    ...expects,
    'Content-Length': String(body.length),
    ...headers,
  })
  await raw.answer()
  const isContinued = raw.received.startsWith('HTTP/1.1 100 Continue\r\n\r\n')
  if (isContinued) {
    await raw.write(body)
    while (!/\r\n\r\nHTTP\/1\.1 \d+ /.test(raw.received))
      await new Promise((resolve) => setTimeout(resolve, 5))
  }
  raw.socket.destroy()
  const [, status = '0'] = /HTTP\/1\.1 (\d+) (?!Continue)/.exec(raw.received) ?? []
  return { isContinued, status: Number(status), closes: /Connection: close/i.test(raw.received) }
}

const patch = { 'Upload-Offset': '0', 'Content-Type': OFFSET_TYPE }

test('a body that is taken gets 100 first', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const { url } = await createUpload(holdall, { workspaceId, name: 'a', size: 5 })
  const taken = { isContinued: true, closes: false }
  expect(await ask(tus, 'PATCH', url, patch, 'hello')).toEqual({ ...taken, status: 204 })
  const declared = { 'Upload-Length': '5', 'Upload-Metadata': metadata({ workspaceId }) }
  const creation = { ...declared, 'Content-Type': OFFSET_TYPE }
  expect(await ask(tus, 'POST', '/uploads', creation, 'hello')).toEqual({ ...taken, status: 201 })
  const json = { 'Content-Type': 'application/json' }
  const query = JSON.stringify({ query: '{ __typename }' })
  expect(await ask(tus, 'POST', '/graphql', json, query)).toEqual({ ...taken, status: 200 })
  const type = { 'Content-Type': 'multipart/form-data; boundary=x' }
  const form = `--x\r\nContent-Disposition: form-data; name="workspaceId"\r\n\r\n${workspaceId}\r\n--x\r\nContent-Disposition: form-data; name="file"; filename="b"\r\n\r\nhello\r\n--x--\r\n`
  expect(await ask(tus, 'POST', '/files', type, form)).toEqual({ ...taken, status: 201 })
})

test('a request that is refused by its head gets no 100, and its connection closes', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const { url } = await createUpload(holdall, { workspaceId, name: 'a', size: 5 })
  const refused = { isContinued: false, closes: true }
  const wrong = { ...patch, 'Upload-Offset': '3' }
  expect(await ask(tus, 'PATCH', url, wrong, 'lo')).toEqual({ ...refused, status: 409 })
  expect(await ask(tus, 'PATCH', url, patch, 'too long')).toEqual({ ...refused, status: 413 })
  const anonymous = { ...patch, Authorization: '' }
  expect(await ask(tus, 'PATCH', url, anonymous, 'hello')).toEqual({ ...refused, status: 401 })
  expect(await ask(tus, 'PATCH', `${url}x`, patch, 'hello')).toEqual({ ...refused, status: 404 })
  const form = { 'Content-Type': 'multipart/form-data; boundary=x', Authorization: '' }
  expect(await ask(tus, 'POST', '/files', form, '--x--')).toEqual({ ...refused, status: 401 })
  expect(await ask(tus, 'PUT', '/nowhere', {}, 'hello')).toEqual({ ...refused, status: 404 })
  expect(await tus.offset(url)).toBe(0)
})
