import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import {
  readArchiveLink,
  readLink,
  signArchive,
  signLink,
} from '../../../src/signing/signed-links.ts'
import {
  act,
  attempt,
  createUpload,
  createWorkspace,
  downloadUrl,
  sendBytes,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { tusOf } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const MINUTE = 60_000
const startedAt = Date.UTC(2030, 0, 1)
let now = startedAt
let holdall: TestServer
let workspaceId: string
let rootId: string
let link: string
let archive: string
beforeAll(async () => {
  holdall = await startTestServer({ now: () => now })
  const workspace = await createWorkspace(holdall)
  workspaceId = workspace.id
  rootId = workspace.root.id
  const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'first' })
  await uploadFile(holdall, {
    workspaceId,
    name: 'a.txt',
    bytes: 'second',
    onConflict: 'NEW_VERSION',
  })
  link = await downloadUrl(holdall, file.id)
  archive = await archiveUrl()
  return () => holdall[Symbol.asyncDispose]()
})

const archiveUrl = async () => {
  const query = 'query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl { url } } } }'
  return (await holdall.ask(query, { id: rootId })).node.archiveUrl.url
}
const send = async (url: string, method = 'GET', at = holdall) => {
  const response = await at.http(url, { method, token: null })
  await response.arrayBuffer()
  return response.status
}
/** The token of a link, and the link with another token. */
const tokenIn = (url: string) => new URL(url).pathname.split('/').at(-2) ?? ''
const withToken = (url: string, token: string) => url.replace(tokenIn(url), token)
const signatureAt = (token: string) => token.lastIndexOf('.') + 1

describe.each(['download', 'archive'])('S28: the signed link of a %s', (kind) => {
  const url = () => (kind === 'download' ? link : archive)

  test('is valid as it is, and with any name at its end', async () => {
    expect(await send(url())).toBe(200)
    expect(await send(url().replace(/[^/]+$/, 'another.name'))).toBe(200)
  })

  test('is rejected with any letter changed', async () => {
    const token = tokenIn(url())
    for (let i = 0; i < token.length; i++) {
      const other = token[i] === 'a' ? 'b' : 'a'
      const changed = `${token.slice(0, i)}${other}${token.slice(i + 1)}`
      // Without a dot it is no link, but an id, which requires a token.
      expect([i, await send(withToken(url(), changed))]).toEqual([i, 403])
    }
  })

  test('has a signature that is valid for no other expiry, object or disposition', async () => {
    const token = tokenIn(url())
    const expiresAt = /\.(\d+)\./.exec(token)?.[1] ?? ''
    const changes = [
      token.replace(expiresAt, `${Number(expiresAt) + 1000}`),
      token.replace(expiresAt, `0${expiresAt}`),
      token.replace(expiresAt, `${expiresAt}0`),
      token.replace(expiresAt, '99999999999999'),
      token.replace('.attachment.', '.inline.'),
      token.replace('.attachment.', '.'),
      token.replace(/\.[^.]+$/, ''),
      token.replace(/\.[^.]+$/, '.'),
      `${token}=`,
      `${token}.`,
      `${token}%00`,
      token.toUpperCase(),
      `${token.slice(0, signatureAt(token))}${'A'.repeat(43)}`,
      `none.${token}`,
      token.replace(/[0-9a-f]{32}/, '0'.repeat(32)),
    ]
    for (const changed of changes.filter((one) => one !== token)) {
      const status = await send(withToken(url(), changed))
      expect([changed, status === 403 || status === 401]).toEqual([changed, true])
    }
  })

  test('allows only GET and HEAD, and no query changes its response', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'])
      expect([method, await send(url(), method)]).toEqual([method, 405])
    expect(await send(url(), 'HEAD')).toBe(200)
    const requested = await holdall.http(
      `${url()}?disposition=inline&expiresAt=9999999999999&versionId=x`,
      { token: null },
    )
    expect([requested.status, requested.headers.get('content-disposition')]).toEqual([
      200,
      expect.stringMatching(/^attachment/),
    ])
  })

  test('ends at its expiry for every client; a clock that goes back does not extend it', async () => {
    const made = kind === 'download' ? link : archive
    try {
      now = startedAt + 60 * MINUTE - 1
      expect(await send(made)).toBe(200)
      for (const late of [60 * MINUTE, 61 * MINUTE, 1e9, 1e12]) {
        now = startedAt + late
        expect([late, await send(made)]).toEqual([late, 403])
      }
      // Links have no start time: a clock that is behind delays none.
      for (const early of [MINUTE, 60 * MINUTE, 1e9]) {
        now = startedAt - early
        expect([early, await send(made)]).toEqual([early, 200])
      }
    } finally {
      now = startedAt
    }
  })

  test('of another server, or signed for another purpose, is invalid', async () => {
    await using other = await startTestServer({ now: () => now })
    const path = new URL(url()).pathname
    expect(await send(path, 'GET', other)).toBe(403)
    const token = tokenIn(url())
    const { signingKeys } = holdall.app
    if (kind === 'download') {
      const payload = readLink(signingKeys, token, now)
      expect(signLink(signingKeys, payload)).toBe(token)
      expect(() => readArchiveLink(signingKeys, token, now)).toThrow()
      return
    }
    const payload = readArchiveLink(signingKeys, token, now)
    expect(signArchive(signingKeys, payload)).toBe(token)
    expect(() => readLink(signingKeys, token, now)).toThrow()
  })
})

describe('S28: the URL of an upload', () => {
  test.each(['TUS', 'SIGNED_PUT'])(
    'of %s is rejected with any letter changed, and gives access to nothing else',
    async (transport) => {
      const upload = await createUpload(holdall, {
        workspaceId,
        name: `signed by ${transport}`,
        size: 1,
        transport,
      })
      if (!upload.url.startsWith(holdall.url)) return
      const key = upload.url.split('/').at(-1) ?? ''
      const method = transport === 'TUS' ? 'HEAD' : 'PUT'
      const ask = (url: string) =>
        holdall.http(url, {
          method,
          ...(transport === 'TUS'
            ? { headers: { 'Tus-Resumable': '1.0.0' } }
            : { token: null, body: 'x' }),
        })
      for (let i = 0; i < key.length; i++) {
        const changed = `${key.slice(0, i)}${key[i] === '0' ? '1' : '0'}${key.slice(i + 1)}`
        expect([i, (await ask(upload.url.replace(key, changed))).status]).toEqual([i, 404])
      }
      for (const path of [
        `/uploads/put/${key}`,
        `/uploads/${key}`,
        `/download/${key}`,
        `/s/${key}`,
        `/download/archive/${key}/x.zip`,
      ]) {
        if (upload.url.endsWith(path)) continue
        expect([path, (await ask(`${holdall.url}${path}`)).status]).toEqual([
          path,
          expect.toSatisfy((status) => status >= 400),
        ])
      }
      expect((await ask(upload.url)).status).toBeLessThan(300)
    },
  )
})

describe('S31: uploads do not reveal what other workspaces store', () => {
  const secret = `what only they have ${'x'.repeat(5000)}`
  const sha256 = createHash('sha256').update(secret).digest('hex')

  test('the same bytes in another workspace are reported, counted and stored as new', async () => {
    await uploadFile(holdall, { workspaceId, name: 'secret.txt', bytes: secret })
    const fresh = secret.replace('only', 'no one')
    const stranger = await createWorkspace(holdall, { name: 'Strangers' })
    const uploadAndDescribe = async (bytes: string, name: string) => {
      const hash = createHash('sha256').update(bytes).digest('hex')
      const before = await usageOf(holdall, stranger.id)
      const upload = await createUpload(holdall, {
        workspaceId: stranger.id,
        name,
        size: bytes.length,
        sha256: hash,
      })
      const early = await attempt(
        holdall,
        'confirmUpload',
        { uploadId: upload.id, sha256: hash },
        '__typename',
      )
      const head = await tusOf(holdall).head(upload.url)
      const offset = await sendBytes(holdall, upload, bytes)
      const { file } = await act(
        holdall,
        'confirmUpload',
        { uploadId: upload.id },
        'file { size version { number } }',
      )
      const after = await usageOf(holdall, stranger.id)
      const grown = ['currentBytes', 'storedBytes', 'fileCount'].map(
        (figure) => after[figure] - before[figure],
      )
      return {
        status: upload.status,
        early: early.code,
        from: head.headers.get('upload-offset'),
        offset,
        file,
        grown,
      }
    }
    const known = await uploadAndDescribe(secret, 'known.txt')
    const unknown = await uploadAndDescribe(fresh, 'other.txt')
    expect({ ...known, offset: 0, file: 0, grown: 0 }).toEqual({
      ...unknown,
      offset: 0,
      file: 0,
      grown: 0,
    })
    expect(known).toMatchObject({ early: 'UPLOAD_INCOMPLETE', from: '0', offset: secret.length })
    expect(known.grown).toEqual([secret.length, secret.length, 1])
    expect(unknown.grown).toEqual([fresh.length, fresh.length, 1])
    const { workspace } = await holdall.ask(
      'query ($id: ID!) { workspace(by: { id: $id }) { duplicates(first: 5) { totalCount } } }',
      { id: stranger.id },
    )
    expect(workspace.duplicates.totalCount).toBe(0)
  })

  test('a hash alone creates no file: not by createUpload, confirm, tus or form', async () => {
    const elsewhere = await createWorkspace(holdall, { name: 'Elsewhere' })
    const person = await invite(holdall, elsewhere.id)
    const as = { token: person.token }
    const find =
      'query ($id: ID!, $filter: EntryFilter) { workspace(by: { id: $id }) { entries(filter: $filter) { totalCount } } }'
    const found = await holdall.ask(find, { id: elsewhere.id, filter: { sha256 } }, as)
    expect(found.workspace.entries.totalCount).toBe(0)
    const upload = await createUpload(
      holdall,
      { workspaceId: elsewhere.id, name: 'claimed.txt', size: secret.length, sha256 },
      as,
    )
    const { code } = await attempt(
      holdall,
      'confirmUpload',
      { uploadId: upload.id, sha256, size: secret.length },
      '__typename',
      as,
    )
    expect(code).toBe('UPLOAD_INCOMPLETE')
    await sendBytes(holdall, upload, 'y'.repeat(secret.length), 0, as)
    const wrong = await attempt(holdall, 'confirmUpload', { uploadId: upload.id }, '__typename', as)
    expect(wrong.code).toBe('CHECKSUM_MISMATCH')
    const empty = await createUpload(
      holdall,
      { workspaceId: elsewhere.id, name: 'empty.txt', size: 0, sha256 },
      as,
    )
    expect(
      (await attempt(holdall, 'confirmUpload', { uploadId: empty.id }, '__typename', as)).code,
    ).toBe('CHECKSUM_MISMATCH')
  })

  test('a purge in one workspace does not affect another', async () => {
    const bytes = 'shared by chance'
    const one = await createWorkspace(holdall, { name: 'One' })
    const other = await createWorkspace(holdall, { name: 'Other' })
    const [mine, theirs] = [
      await uploadFile(holdall, { workspaceId: one.id, name: 'x', bytes }),
      await uploadFile(holdall, { workspaceId: other.id, name: 'x', bytes }),
    ]
    await act(holdall, 'trashEntries', { entries: [{ entry: { id: mine.id } }] }, 'succeeded')
    await act(holdall, 'purgeEntries', { entries: [{ entry: { id: mine.id } }] }, 'succeeded')
    await holdall.app.jobs.runDue()
    const response = await holdall.http(await downloadUrl(holdall, theirs.id), {
      token: null,
      redirect: 'follow',
    })
    expect(await response.text()).toBe(bytes)
  })
})
