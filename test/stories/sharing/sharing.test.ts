import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { openApp } from '../../../src/app.ts'
import type { Env } from '../../../src/config/env.ts'
import { createHttpServer } from '../../../src/http/server.ts'
import {
  act,
  attempt,
  createFolder,
  createWorkspace,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { invite } from '../../support/data/people.ts'
import { database } from '../../support/databases.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { expectFast, timingRetries } from '../../support/timed.ts'

/** Each password check takes a core for a while, and here are some fifty. */
const HASHING_MS = 120_000

let holdall: TestServer
let workspaceId: string
/** The clock of the server. */
let now: number

beforeEach(async () => {
  now = Date.now()
  holdall = await startTestServer({ now: () => now })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall, { name: 'Secret lab' })).id
})

type Link = { id: string; url: string; token: string; hasPassword: boolean; downloadCount: number }
const share = async (entry: { id: string }, terms: object = {}, as: object = {}): Promise<Link> => {
  const input = { entry: { id: entry.id }, ...terms }
  const fields = 'shareLink { id url token hasPassword expiresAt maxDownloads downloadCount }'
  return (await act(holdall, 'createShareLink', input, fields, as)).shareLink
}
const revoke = ({ id }: Link) => act(holdall, 'revokeShareLink', { shareLinkId: id }, 'shareLinkId')

/** What a client without a token sees of a share. */
const shown = (link: Link, selection = 'downloadUrl { url }', password?: string) =>
  holdall.graphql(
    `query ($token: String!, $password: String) {
      shared(token: $token, password: $password) { ${selection} }
    }`,
    { token: link.token, password },
    { token: null },
  )
const opened = async (link: Link, password?: string) =>
  (await shown(link, 'entry { id }', password)).data.shared !== null
const urlOf = async (link: Link): Promise<string> => (await shown(link)).data.shared.downloadUrl.url
const get = (url: string, headers: Record<string, string> = {}, method = 'GET') =>
  holdall.http(url, { token: null, headers, method })
const status = async (url: string, headers = {}) => {
  const response = await get(url, headers)
  await response.arrayBuffer()
  return response.status
}
const linksOf = async (id: string, token?: string) => {
  const query = `query ($id: ID!) { node(id: $id) { ... on Entry {
    sharing { visibility links { id url downloadCount } }
  } } }`
  return (await holdall.ask(query, { id }, token ? { token } : {})).node.sharing.links
}
const file = (name = 'plate.csv', bytes = 'a,b\n1,2\n', more = {}) =>
  uploadFile(holdall, { workspaceId, name, bytes, ...more })

describe('a shared file', () => {
  test('is accessible to holders of the link only', async () => {
    const entry = await file()
    const link = await share(entry)
    expect(link.url).toBe(`${holdall.url}/s/${link.token}`)
    const { data } = await shown(
      link,
      'entry { id name path ... on File { size } } downloadUrl { url }',
    )
    expect(data.shared.entry).toEqual({
      id: entry.id,
      name: 'plate.csv',
      path: 'plate.csv',
      size: 8,
    })
    const response = await get(data.shared.downloadUrl.url)
    expect([response.status, await response.text()]).toEqual([200, 'a,b\n1,2\n'])
    const forged = link.token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))
    for (const token of [forged, '', 'x', `${link.token}A`, link.id]) {
      expect((await shown({ ...link, token })).data).toEqual({ shared: null })
    }
    expect(
      JSON.stringify(await holdall.app.db.selectFrom('shareLinks').selectAll().execute()),
    ).not.toContain(link.token.split('.')[1])
  })

  test('has the same JSON at its URL', async () => {
    const link = await share(await file('Größe 1.csv', 'x,y'))
    const response = await get(link.url)
    const answer = await response.json()
    expect(response.headers.get('cache-control')).toBe('private, no-store')
    expect(answer.entry).toMatchObject({ type: 'FILE', name: 'Größe 1.csv', size: 3 })
    expect(await (await get(answer.downloadUrl.url)).text()).toBe('x,y')
    expect((await get(link.url, {}, 'HEAD')).headers.get('content-length')).toBe(
      response.headers.get('content-length'),
    )
    expect((await get(link.url, {}, 'POST')).status).toBe(405)
    const nothing = await get('/s/nothing')
    expect([nothing.status, await nothing.json()]).toEqual([
      404,
      { code: 'NOT_FOUND', message: 'nothing is here' },
    ])
  })

  test('S12: ends with its revocation at once, with the signed links made through it', async () => {
    const entry = await file()
    const [link, other] = [await share(entry), await share(entry)]
    const url = await urlOf(link)
    expect(await status(url)).toBe(200)
    await revoke(link)
    expect([await opened(link), await status(url), await status(link.url)]).toEqual([
      false,
      404,
      404,
    ])
    expect(await opened(other)).toBe(true)
    const again = await attempt(holdall, 'revokeShareLink', { shareLinkId: link.id }, '__typename')
    expect(again).toMatchObject({ code: 'NOT_FOUND', path: ['shareLinkId'] })
  })

  test('ends at its expiry, with its signed links', async () => {
    const link = await share(await file(), { expiresAt: new Date(now + 60_000).toISOString() })
    const { data } = await shown(
      link,
      'entry { ... on File { downloadUrl(expiresInSeconds: 86400) { url expiresAt } } }',
    )
    const { url, expiresAt } = data.shared.entry.downloadUrl
    expect(Date.parse(expiresAt)).toBe(now + 60_000)
    now += 59_999
    expect([await opened(link), await status(url)]).toEqual([true, 200])
    now += 1
    expect([await opened(link), await status(link.url)]).toEqual([false, 404])
    expect(await status(url)).toBe(403)
  })

  test('does not work while it or a folder above is trashed; a purge ends it', async () => {
    const folder = await createFolder(holdall, { workspaceId, name: 'raw' })
    const entry = await file('a.txt', 'a', { folderId: folder.id })
    const link = await share(entry)
    const url = await urlOf(link)
    for (const trashed of [entry, folder]) {
      await trashEntries(holdall, trashed)
      expect([await opened(link), await status(url), await status(link.url)]).toEqual([
        false,
        404,
        404,
      ])
      await act(
        holdall,
        'restoreEntries',
        { entries: [{ entry: { id: trashed.id } }] },
        'succeeded',
      )
      expect([await opened(link), await status(url)]).toEqual([true, 200])
    }
    await trashEntries(holdall, folder)
    await act(holdall, 'purgeEntries', { entries: [{ entry: { id: folder.id } }] }, 'succeeded')
    expect(await opened(link)).toBe(false)
    expect(await holdall.app.db.selectFrom('shareLinks').selectAll().execute()).toEqual([])
  })

  test('is not listed while the rows of a purge are being deleted', async () => {
    const entry = await file()
    const { id } = await share(entry)
    await trashEntries(holdall, entry)
    // A process died between the first step of a purge and the rest.
    const { db } = holdall.app
    await db.updateTable('entries').set({ purgingAt: now }).where('id', '=', entry.id).execute()
    const query = `query ($workspace: ID!, $link: ID!) { node(id: $link) { id }
      workspace(by: { id: $workspace }) { shareLinks { nodes { entry { id } } } } }`
    expect(await holdall.ask(query, { workspace: workspaceId, link: id })).toEqual({
      node: null,
      workspace: { shareLinks: { nodes: [] } },
    })
  })
})

describe('a password', () => {
  test('S13: is required by GraphQL and by the URL, and stored as a hash', async () => {
    const link = await share(await file(), { password: 'open sesame' })
    expect(link.hasPassword).toBe(true)
    expect([await opened(link), await opened(link, ''), await opened(link, 'wrong')]).toEqual([
      false,
      false,
      false,
    ])
    expect(await opened(link, 'open sesame')).toBe(true)
    expect(await status(link.url)).toBe(404)
    expect(await status(link.url, { 'Holdall-Share-Password': 'wrong' })).toBe(404)
    expect(await status(link.url, { 'Holdall-Share-Password': 'open sesame' })).toBe(200)
    const rows = await holdall.app.db.selectFrom('shareLinks').selectAll().execute()
    expect(JSON.stringify(rows)).not.toContain('sesame')
  })

  test('S13: cannot be guessed: after five wrong attempts the link is locked, also for the right password', async () => {
    const link = await share(await file(), { password: 'right' })
    const guesses = Array.from({ length: 40 }, (_, i) => opened(link, `guess ${i}`))
    expect(await Promise.all(guesses)).toEqual(guesses.map(() => false))
    const [row] = await holdall.app.db.selectFrom('shareLinks').select('failures').execute()
    expect(row?.failures).toBe(5)
    expect(await opened(link, 'right')).toBe(false)
    now += 30_001
    expect(await opened(link, 'wrong')).toBe(false)
    now += 30_001
    // Twice as long after the sixth.
    expect(await opened(link, 'right')).toBe(false)
    now += 30_000
    expect(await opened(link, 'right')).toBe(true)
    expect(await opened(link, 'right')).toBe(true)
  })

  test(
    'S13: cannot be guessed over many links: after twenty wrong attempts in an hour only this address is locked',
    async () => {
      vi.useFakeTimers({ toFake: ['Date'] })
      onTestFinished(() => void vi.useRealTimers())
      const lab = await openLab({ TRUST_PROXY: 'true' })
      const links = await lab.shared(8, 'right')
      const [last = '', own = ''] = links.slice(-2)
      const guesser = '203.0.113.7'
      const guesses = links.slice(0, 6).flatMap((link) => [1, 2, 3].map((i) => [link, i] as const))
      const statuses = await Promise.all(
        guesses.map(([link, i]) => lab.visit(link, `guess ${i}`, guesser)),
      )
      expect(statuses).toEqual(guesses.map(() => 404))
      // A right password resets nothing of the address; a link without a password counts no attempts.
      expect(await lab.visit(own, 'right', guesser)).toBe(200)
      for (let i = 0; i < 30; i++) expect(await lab.visit('/s/x', 'guess', guesser)).toBe(404)
      expect(await lab.ask(last, 'guess', guesser)).toBe(null)
      expect(await lab.visit(last, 'right', guesser)).toBe(200)
      expect(await lab.ask(last, 'another', guesser)).toBe(null)

      const waiting = async () => [
        await lab.visit(last, 'right', guesser),
        await lab.visit(own, 'wrong', guesser),
        (await lab.ask(last, 'right', guesser)) !== null,
      ]
      expect(await waiting()).toEqual([404, 404, false])
      // The right password cleared the attempts of its link, not those of the address.
      expect(await lab.failures()).toBe(19)
      for (const elsewhere of ['203.0.113.8', '2001:db8::1']) {
        expect(await lab.visit(last, 'right', elsewhere)).toBe(200)
        expect(await lab.ask(own, 'right', elsewhere)).toEqual({ entry: { id: lab.fileId } })
      }

      vi.setSystemTime(Date.now() + 30_001)
      expect(await lab.visit(last, 'right', guesser)).toBe(200)
      expect(await lab.visit(last, 'wrong', guesser)).toBe(404)
      vi.setSystemTime(Date.now() + 30_001)
      expect(await waiting()).toEqual([404, 404, false])
      vi.setSystemTime(Date.now() + 30_001)
      expect(await lab.visit(last, 'right', guesser)).toBe(200)
      vi.setSystemTime(Date.now() + 3_600_001)
      expect(await lab.visit(last, 'wrong', guesser)).toBe(404)
      expect(await lab.visit(last, 'right', guesser)).toBe(200)
    },
    HASHING_MS,
  )

  test(
    'S13: cannot be guessed by concurrent requests of an address',
    async () => {
      const lab = await openLab()
      const links = await lab.shared(6, 'right')
      const guesses = links.flatMap((link) =>
        [1, 2, 3, 4].map((i) => lab.visit(link, `guess ${i}`)),
      )
      expect(new Set(await Promise.all(guesses))).toEqual(new Set([404]))
      expect(await lab.failures()).toBe(20)
    },
    HASHING_MS,
  )

  test.skipIf(database === 'SQLite')(
    'S13: nor over several processes',
    async () => {
      const lab = await openLab()
      const links = await lab.shared(8, 'right')
      await using app = await openApp(lab.holdall.app.config)
      const server = createHttpServer(app)
      const there = `http://127.0.0.1:${await server.listen(0, '127.0.0.1')}`
      for (const [i, link] of links.entries()) {
        for (const guess of ['1', '2', '3'])
          await lab.visit(i % 2 ? link : there + new URL(link).pathname, guess)
      }
      expect(await lab.failures()).toBe(20)
      expect(await lab.visit(links[7] ?? '', 'right')).toBe(404)
      await server.close()
    },
    HASHING_MS,
  )

  test('S14: is checked at most three times in one request, whatever the aliases', async () => {
    const link = await share(await file(), { password: 'right' })
    const tries = Array.from(
      { length: 50 },
      (_, i) =>
        `a${i}: shared(token: "${link.token}", password: "${i === 40 ? 'right' : i}") { entry { id } }`,
    )
    const { data, errors } = await holdall.graphql(`{ ${tries.join(' ')} }`, {}, { token: null })
    expect(Object.values(data ?? {}).filter((found) => found !== null)).toEqual([])
    expect(errors?.[0]?.extensions?.code).toBe('QUERY_TOO_COMPLEX')
    const [row] = await holdall.app.db.selectFrom('shareLinks').select('failures').execute()
    expect(row?.failures).toBeLessThanOrEqual(3)
  })

  test('S14: is checked not once under a thousand aliases', timingRetries, async () => {
    const link = await share(await file(), { password: 'right' })
    const one = (i: number) =>
      `a${i}: shared(token: "${link.token}", password: "${i}") { __typename }`
    const tries = Array.from({ length: 1000 }, (_, i) => one(i))
    const startedAt = performance.now()
    const { status, data } = await holdall.graphql(`{ ${tries.join(' ')} }`, {}, { token: null })
    expect([status, data ?? null]).toEqual([400, null])
    await expectFast(holdall, performance.now() - startedAt, 1000)
    const [row] = await holdall.app.db.selectFrom('shareLinks').select('failures').execute()
    expect(row?.failures).toBe(0)
  })

  test('S14: is set for at most three links in one request, because hashing is slow', async () => {
    const { id } = await file()
    const one = (i: number) =>
      `a${i}: createShareLink(input: { entry: { id: "${id}" }, password: "${i}" }) { ... on UserError { code } }`
    const all = Array.from({ length: 50 }, (_, i) => one(i))
    const data = await holdall.ask(`mutation { ${all.join(' ')} }`)
    const codes = Object.values<any>(data).map(({ code }) => code)
    expect(codes).toEqual([...Array(3).fill(undefined), ...Array(47).fill('INVALID_INPUT')])
    expect(await linksOf(id)).toHaveLength(3)
  })
})

/** A server with one file, which is shared many times. */
async function openLab(env: Env = {}) {
  const holdall = await startTestServer({ env })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const { id } = await createWorkspace(holdall)
  const { id: fileId } = await uploadFile(holdall, { workspaceId: id, name: 'a.txt', bytes: 'a' })
  const asking = (address?: string) => ({
    token: null,
    headers: {
      'Content-Type': 'application/json',
      ...(address && { 'X-Forwarded-For': address }),
    },
  })
  return {
    holdall,
    fileId,
    /** The URLs of `count` links. */
    async shared(count: number, password: string): Promise<string[]> {
      const input = { entry: { id: fileId }, password }
      const made = Array.from({ length: count }, () =>
        act(holdall, 'createShareLink', input, 'shareLink { url }'),
      )
      return (await Promise.all(made)).map(({ shareLink }) => shareLink.url)
    },
    async visit(url: string, password: string, address?: string): Promise<number> {
      const { headers, token } = asking(address)
      const withPassword = { ...headers, 'Holdall-Share-Password': password }
      const response = await holdall.http(url, { token, headers: withPassword })
      await response.arrayBuffer()
      return response.status
    },
    /** These shares through GraphQL. */
    async ask(url: string, password: string, address?: string) {
      const query = `query ($token: String!, $password: String) {
        shared(token: $token, password: $password) { entry { id } }
      }`
      const body = JSON.stringify({ query, variables: { token: url.split('/').at(-1), password } })
      const response = await holdall.http('/graphql', { method: 'POST', body, ...asking(address) })
      return ((await response.json()) as any).data.shared
    },
    /** Number of checked wrong passwords, over all links. */
    async failures(): Promise<number> {
      const rows = await holdall.app.db.selectFrom('shareLinks').select('failures').execute()
      return rows.reduce((sum, { failures }) => sum + failures, 0)
    },
  }
}

describe('a download limit', () => {
  test('S32: holds for concurrent requests', async () => {
    const link = await share(await file(), { maxDownloads: 3 })
    const urls: string[] = []
    for (let i = 0; i < 12; i++) urls.push(await urlOf(link))
    const answers = await Promise.all(urls.map((url) => status(url)))
    expect(answers.filter((code) => code === 200)).toHaveLength(3)
    expect(answers.filter((code) => code === 404)).toHaveLength(9)
    expect([await opened(link), await status(link.url)]).toEqual([false, 404])
  })

  test('counts a download and not its parts: it can be resumed within an hour', async () => {
    const bytes = '0123456789'.repeat(100)
    const entry = await file('a.txt', bytes)
    const link = await share(entry, { maxDownloads: 1 })
    const url = await urlOf(link)
    expect((await get(url, {}, 'HEAD')).status).toBe(200)
    expect(await linksOf(entry.id)).toMatchObject([{ downloadCount: 0 }])
    expect(await (await get(url, { Range: 'bytes=0-499' })).text()).toBe(bytes.slice(0, 500))
    const rest = await get(url, { Range: 'bytes=500-' })
    expect([rest.status, await rest.text()]).toEqual([206, bytes.slice(500)])
    expect(await linksOf(entry.id)).toMatchObject([{ downloadCount: 1 }])
    // A request from the start is another download, and so is a fifth request for one part.
    expect(await status(url)).toBe(404)
    const parts = [1, 2, 3, 4, 5].map(() => status(url, { Range: 'bytes=1-' }))
    expect((await Promise.all(parts)).filter((code) => code === 206)).toHaveLength(3)
    now += 3_599_000
    expect(await status(url, { Range: 'bytes=999-' })).toBe(206)
    now += 1_001
    expect(await status(url, { Range: 'bytes=999-' })).toBe(403)
  })
})

describe('a shared folder', () => {
  let folder: { id: string }
  let link: Link

  beforeEach(async () => {
    const made = { workspaceId, createParents: true }
    folder = await createFolder(holdall, { ...made, name: 'Private/Plates', tags: ['red'] })
    await createFolder(holdall, { ...made, name: 'Private/Plates/2025/May' })
    await file('top.csv', 'top')
    await file('secret.csv', 'secret', { path: 'Private' })
    await file('a.csv', 'first', { path: 'Private/Plates', tags: ['red'] })
    await file('a.csv', 'second', { path: 'Private/Plates', onConflict: 'NEW_VERSION' })
    await file('deep.csv', 'deep', { path: 'Private/Plates/2025/May' })
    link = await share(folder)
  })

  test('shows everything below it, read-only', async () => {
    const { data, errors } = await shown(
      link,
      `downloadUrl { url } entry { __typename name path parent { name } ancestors { name } tags { name } ... on Folder {
        totals { fileCount folderCount bytes }
        children(first: 5) { totalCount nodes { __typename name path parent { name } ancestors { name }
          ... on File { size sha256 version { number isCurrent } downloadUrl { url } }
          ... on Folder { children(first: 5) { nodes { ... on Folder { path children(first: 5) { nodes {
            path ancestors { name path } ... on File { downloadUrl { url } }
          } } } } } }
        } }
      } }`,
    )
    expect(errors).toBeUndefined()
    const { entry, downloadUrl } = data.shared
    expect(downloadUrl).toBe(null)
    expect(entry).toMatchObject({ name: 'Plates', path: 'Plates', parent: null, ancestors: [] })
    expect(entry.totals).toEqual({ fileCount: 2, folderCount: 2, bytes: 10 })
    const [year, csv] = entry.children.nodes
    expect(csv).toMatchObject({ path: 'Plates/a.csv', parent: { name: 'Plates' }, size: 6 })
    expect(await (await get(csv.downloadUrl.url)).text()).toBe('second')
    const [deep] = year.children.nodes[0].children.nodes
    expect(deep.path).toBe('Plates/2025/May/deep.csv')
    expect(deep.ancestors.map(({ path }: { path: string }) => path)).toEqual([
      'Plates',
      'Plates/2025',
      'Plates/2025/May',
    ])
    expect(await (await get(deep.downloadUrl.url)).text()).toBe('deep')
    expect(JSON.stringify(data)).not.toMatch(/Private|secret|top\.csv|lab/)
  })

  test.each([
    'workspace { name }',
    'workspace { root { name } }',
    'tags { entries { nodes { name } } }',
    'tags { entryCount }',
    '... on Folder { children(filter: { pathPrefix: "Private/" }) { totalCount } }',
    '... on Folder { children { nodes { workspace { name } } } }',
    '... on Folder { children { nodes { parent { workspace { name } } } } }',
    '... on Folder { children { nodes { ... on File { versions { nodes { id } } } } } }',
    '... on Folder { children { nodes { ... on File { version { file { workspace { name } } } } } } }',
    '... on Folder { children(filter: { within: "WITHIN" }) { totalCount } }',
  ])('S32: reveals nothing beyond it by { %s }', async (selection) => {
    const { data, errors } = await shown(
      link,
      `entry { ${selection.replace('WITHIN', folder.id)} }`,
    )
    expect(JSON.stringify(data)).not.toMatch(/lab|Private|secret|top\.csv/)
    expect(['NOT_FOUND', 'INVALID_INPUT']).toContain(errors?.[0]?.extensions?.code)
  })

  test('shows no user names, no links and no trash', async () => {
    const { data } = await shown(
      link,
      `entry { createdBy { name } updatedBy { name } trash { trashedAt } sharing { visibility links { url } }
        ... on Folder { children { nodes { createdBy { name } ... on File { version { createdBy { name } } } } } } }`,
    )
    expect(JSON.stringify(data)).not.toContain('Owner')
    expect(data.shared.entry.sharing).toEqual({ visibility: 'PRIVATE', links: [] })
  })

  test('S32: gives its holder no rights elsewhere in the same request', async () => {
    const query = `query ($token: String!, $id: ID!) {
      shared(token: $token) { entry { id } }
      node(id: $id) { id }
    }`
    const variables = { token: link.token, id: folder.id }
    const { data } = await holdall.graphql(query, variables, { token: null })
    expect(data).toEqual({ shared: { entry: { id: folder.id } }, node: null })
    const both = `query ($token: String!, $id: ID!) {
      shared(token: $token) { entry { path } }
      node(id: $id) { ... on Folder { path workspace { name } } }
    }`
    expect((await holdall.graphql(both, variables)).data).toEqual({
      shared: { entry: { path: 'Plates' } },
      node: { path: 'Private/Plates', workspace: { name: 'Secret lab' } },
    })
  })

  test('is traversed in JSON, a level at a time', async () => {
    const top = await (await get(link.url)).json()
    expect(top.children.map(({ type, name }: any) => [type, name])).toEqual([
      ['FOLDER', '2025'],
      ['FILE', 'a.csv'],
    ])
    const year = await (await get(`${link.url}?folder=${top.children[0].id}`)).json()
    expect(year.children).toMatchObject([{ name: 'May', type: 'FOLDER' }])
    const outside = await holdall.ask(
      'query ($id: ID!) { node(id: $id) { ... on Folder { parent { id } } } }',
      folder,
    )
    expect(await status(`${link.url}?folder=${outside.node.parent.id}`)).toBe(404)
    const wanted = createHash('sha256').update('second').digest('hex')
    expect(top.children[1].sha256).toBe(wanted)
  })

  test('does not show entries moved out of it', async () => {
    const path = `entry { ... on Folder { children { nodes { id name ... on File { downloadUrl { url } } } } } }`
    const { data } = await shown(link, path)
    const [, csv] = data.shared.entry.children.nodes
    const destination = { path: { workspaceId, path: '' } }
    await act(
      holdall,
      'moveEntries',
      { entries: [{ entry: { id: csv.id } }], folder: destination },
      'succeeded',
    )
    expect(await status(csv.downloadUrl.url)).toBe(404)
  })
})

describe('share links', () => {
  test('seed C31: are listed only for users who may share', async () => {
    const entry = await file()
    const links = [await share(entry), await share(entry)]
    expect((await linksOf(entry.id)).map(({ id }: Link) => id)).toEqual(
      links.map(({ id }) => id).reverse(),
    )
    const editor = await invite(holdall, workspaceId, 'EDITOR')
    expect(await linksOf(entry.id, editor.token)).toHaveLength(2)
    const viewer = await invite(holdall, workspaceId, 'VIEWER')
    expect(await linksOf(entry.id, viewer.token)).toEqual([])
    const unscoped = await invite(holdall, workspaceId, 'EDITOR', ['FILES_READ', 'FILES_WRITE'])
    expect(await linksOf(entry.id, unscoped.token)).toEqual([])
    const query = `query ($id: ID!) { workspace(by: { id: $id }) {
      shareLinks(first: 1) { totalCount nodes { id entry { id } createdBy { name } } pageInfo { hasNextPage } }
    } }`
    const { workspace } = await holdall.ask(query, { id: workspaceId }, { token: editor.token })
    expect(workspace.shareLinks).toMatchObject({
      totalCount: 2,
      nodes: [{ id: links[1]?.id, entry: { id: entry.id } }],
      pageInfo: { hasNextPage: true },
    })
    const { errors } = await holdall.graphql(query, { id: workspaceId }, { token: viewer.token })
    expect(errors?.[0]?.extensions?.code).toBe('FORBIDDEN')
  })

  test('are rejected with invalid terms, and for trashed entries', async () => {
    const entry = await file()
    const input = {
      entry: { id: entry.id },
      password: '',
      maxDownloads: 0,
      expiresAt: new Date(now).toISOString(),
    }
    const wrong = await attempt(holdall, 'createShareLink', input, '__typename')
    expect(wrong.code).toBe('INVALID_INPUT')
    for (const field of ['password', 'expiresAt', 'maxDownloads'])
      expect(wrong.message).toContain(field)
    await trashEntries(holdall, entry)
    const gone = await attempt(
      holdall,
      'createShareLink',
      { entry: { id: entry.id } },
      '__typename',
    )
    expect(gone).toMatchObject({ code: 'INVALID_STATE', path: ['entry'] })
  })

  test('are logged: created, opened, downloaded, revoked', async () => {
    const entry = await file()
    const link = await share(entry, { password: 'pass' })
    await opened(link, 'wrong')
    const { data } = await shown(link, 'downloadUrl { url }', 'pass')
    await status(data.shared.downloadUrl.url)
    await revoke(link)
    const query = `query ($id: ID!, $entryId: ID!) { workspace(by: { id: $id }) {
      activity(filter: { entryId: $entryId }) { nodes { action path details } }
    } }`
    const { workspace } = await holdall.ask(query, { id: workspaceId, entryId: entry.id })
    const events = workspace.activity.nodes.slice(0, 4).reverse()
    expect(events.map(({ action }: { action: string }) => action)).toEqual([
      'SHARE_LINK_CREATED',
      'SHARE_LINK_OPENED',
      'FILE_DOWNLOADED',
      'SHARE_LINK_REVOKED',
    ])
    for (const event of events) {
      expect(event).toMatchObject({ path: 'plate.csv', details: { shareLinkId: link.id } })
      expect(JSON.stringify(event.details)).not.toContain('pass"')
    }
  })
})
