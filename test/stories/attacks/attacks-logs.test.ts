import { createHash } from 'node:crypto'
import { globSync, rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import {
  act,
  attempt,
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  download,
  downloadUrl,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { emptyFolder, startProcess } from '../../support/servers/process.ts'
import { serverAt } from '../../support/servers/server-at.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

/** Secrets that were sent to or by the server; none may be in a log. */
const secrets = new Set<string>()
const isSecret = <T extends string>(text: T): T => {
  secrets.add(text)
  return text
}
/** The secret part of an address. */
const addressIsSecret = (url: string): string => {
  for (const part of new URL(url).pathname.split(/[/.]/))
    if (/^[\w-]{22,}$/.test(part) && !/^[a-z]*_?[0-9a-f]{32}$/.test(part)) isSecret(part)
  return url
}

/** Uses every operation that takes a secret. */
async function useAllSecrets(holdall: TestServer, elsewhere: TestServer) {
  const { id: workspaceId, root } = await createWorkspace(holdall)
  const person = await invite(holdall, workspaceId)
  isSecret(person.token)
  const upload = await createUpload(holdall, { workspaceId, name: 'a.txt', size: 5 })
  addressIsSecret(upload.url)
  await sendBytes(holdall, upload, 'hello')
  const file = await confirmUpload(holdall, { uploadId: upload.id })
  await download(holdall, file.id)
  addressIsSecret(await downloadUrl(holdall, file.id))
  await signedPut(holdall, workspaceId)
  const plain = await tusOf(holdall).create(
    { workspaceId, filename: 'b.txt', confirm: 'auto' },
    { 'Upload-Length': '2' },
  )
  await tusOf(holdall).patch(addressIsSecret(plain), 0, 'hi')
  await postForm(holdall, { workspaceId, file: { name: 'c.txt', bytes: 'c' } })
  await shares(holdall, file.id)
  const query = 'query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl { url } } } }'
  const { url } = (await holdall.ask(query, { id: root.id })).node.archiveUrl
  await (await holdall.http(addressIsSecret(url), { token: null })).arrayBuffer()
  await wrong(holdall, workspaceId, file.id)
  await wrong(elsewhere, workspaceId, file.id)
}

async function signedPut(holdall: TestServer, workspaceId: string) {
  const signed = await createUpload(holdall, {
    workspaceId,
    name: 'p.txt',
    size: 1,
    transport: 'SIGNED_PUT',
  })
  await holdall.http(addressIsSecret(signed.url), { method: 'PUT', token: null, body: 'p' })
  await holdall.http(`${signed.url}x`, { method: 'PUT', token: null, body: 'p' })
}

async function shares(holdall: TestServer, id: string) {
  const input = { entry: { id }, password: isSecret('a passphrase of the share') }
  const { shareLink } = await act(holdall, 'createShareLink', input, 'shareLink { url }')
  const url = addressIsSecret(shareLink.url)
  const token = url.split('/').at(-1) ?? ''
  for (const password of [input.password, isSecret('a wrong passphrase')]) {
    const headers = { 'Holdall-Share-Password': password }
    const shown = await holdall.http(url, { token: null, headers })
    const { downloadUrl: link } = (await shown.json()) as any
    if (link) await (await holdall.http(addressIsSecret(link.url), { token: null })).arrayBuffer()
    await holdall
      .ask(
        `query ($t: String!, $p: String) { shared(token: $t, password: $p) { entry { name } } }`,
        { t: token, p: password },
      )
      .catch(() => {})
  }
}

/** Causes faults and refusals, with secrets in every field. */
async function wrong(holdall: TestServer, workspaceId: string, fileId: string) {
  const guess = isSecret(`hld_${createHash('sha256').update(holdall.token).digest('base64url')}`)
  const as = { token: guess }
  await holdall.http(`/download/${fileId}`, as)
  await holdall.http(`/download/${fileId}?token=${guess}&access_token=${guess}`, as)
  await holdall.http(`/nothing/${guess}?password=${guess}`, as)
  await holdall.http('/graphql', {
    ...as,
    method: 'POST',
    headers: { 'content-type': 'application/json', cookie: `session=${guess}` },
    body: `{"query":"{ nonsense(token: \\"${guess}\\") }"}`,
  })
  await holdall.http('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Basic ${guess}` },
    body: `{"query": broken ${guess}`,
  })
  await attempt(
    holdall,
    'createUpload',
    { workspaceId, name: '\r\n{"level":60,"msg":"forged"}', size: 1 },
    '__typename',
  ).catch(() => {})
  await holdall.http('/livez', { headers: { 'x-request-id': '{"level":60}' } })
  await tusOf(holdall).post({
    'Upload-Length': '1',
    'Upload-Metadata': metadata({ workspaceId, filename: 'x', token: guess }),
  })
}

test('S35: no token, password or signature is logged, at any log level', async () => {
  const env = {
    DATA_DIR: await emptyFolder(),
    LOG_LEVEL: 'trace',
    ADMIN_TOKEN: isSecret('chosen-by-the-operator-2025'),
  }
  const process = await startProcess(env)
  const holdall = { ...serverAt(process.url, env.ADMIN_TOKEN), dir: env.DATA_DIR }
  await useAllSecrets(holdall, serverAt(process.url, isSecret('a-token-that-was-never-issued')))
  const { out, err } = await process.stop()
  expect(secrets.size).toBeGreaterThan(12)
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')])
      expect([form, `${out}${err}`.includes(form)]).toEqual([form, false])
  }
  const lines = err.split('\n').filter((line) => line !== '')
  expect(lines.length).toBeGreaterThan(30)
  // Each line is one JSON object: no input has started a line of its own.
  for (const line of lines)
    expect(JSON.parse(line)).toMatchObject({ level: expect.any(Number), time: expect.any(Number) })
  expect(err).not.toMatch(/"msg":"forged"|^forged/m)
  expect(lines.filter((line) => JSON.parse(line).level >= 60)).toEqual([])
})

test('S35: nor if the bytes cannot be read and the error is logged', async () => {
  const env = {
    DATA_DIR: await emptyFolder(),
    LOG_LEVEL: 'trace',
    ADMIN_TOKEN: 'chosen-by-the-operator-2026',
  }
  const process = await startProcess(env)
  const holdall = serverAt(process.url, env.ADMIN_TOKEN)
  const { id: workspaceId } = await createWorkspace(holdall)
  const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
  const file = await uploadFile(holdall, {
    workspaceId,
    folderId: folder.id,
    name: 'a.txt',
    bytes: 'gone',
  })
  for (const path of globSync('blobs/kept/**/*', { cwd: env.DATA_DIR, withFileTypes: true }))
    if (path.isFile()) rmSync(`${path.parentPath}/${path.name}`)
  const link = await downloadUrl(holdall, file.id)
  const response = await holdall.http(link, { token: null })
  expect([response.status >= 500, await response.text()]).toEqual([
    true,
    expect.not.stringMatching(/blobs|kept|ENOENT|\bat /),
  ])
  const { err } = await process.stop()
  expect(err).toMatch(/"level":50/)
  expect(err).not.toContain(new URL(link).pathname.split('/')[2]?.split('.').at(-1))
  expect(err).not.toContain(env.ADMIN_TOKEN)
})
