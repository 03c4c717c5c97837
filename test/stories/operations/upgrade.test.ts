import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { act, confirmUpload, entryByPath, sendBytes, uploadFile } from '../../support/client.ts'
import { database } from '../../support/databases.ts'
import { findings } from '../../support/inspection.ts'
import { root } from '../../support/project-root.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

// test/fixtures holds installations of earlier versions (written by make.ts); each is upgraded by a
// start, and used.

const HOUR_MS = 3_600_000
const fixtures = join(root, 'test/fixtures')
/** The last migration of each installation. */
const versions = ['0015', '0022']

/** Opens the installation whose last migration has that number, an hour later. */
async function openUpgraded(version: string) {
  const from = join(fixtures, `${version}-${database === 'SQLite' ? 'sqlite' : 'postgres'}`)
  const made = JSON.parse(await readFile(join(from, 'expected.json'), 'utf8'))
  const holdall = await startTestServer({
    now: () => made.madeAt + HOUR_MS,
    prepare: async (dir, databaseUrl) => {
      await cp(from, dir, { recursive: true })
      if (databaseUrl) await loadDump(join(from, 'rows.sql'), databaseUrl)
    },
  })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  return { holdall: Object.assign(holdall, { token: made.ownerToken }), made }
}

/** Lines that begin with a backslash are for psql. */
async function loadDump(path: string, connectionString: string) {
  const statements = (await readFile(path, 'utf8')).replace(/^\\.*$/gm, '')
  const client = new Client({ connectionString })
  await client.connect()
  await client.query(statements).finally(() => client.end())
}

const as = (made: { ownerToken: string }) => ({ token: made.ownerToken })

test.each(versions)(
  '%s: files, versions, tags and rows of an earlier version exist after an upgrade',
  async (version) => {
    const { holdall, made } = await openUpgraded(version)
    const { node: file } = await holdall.ask(
      `query ($id: ID!) { node(id: $id) { ... on File {
      path size sha256 description tags { name } versions { nodes { number } } downloadUrl { url } } } }`,
      { id: made.file.id },
      as(made),
    )
    expect(file).toMatchObject({ path: made.file.path, description: 'Zürich' })
    expect(file.tags.map(({ name }: { name: string }) => name).sort()).toEqual(['größe', 'plate'])
    expect(file.versions.nodes).toHaveLength(made.file.versions)
    const download = await holdall.http(file.downloadUrl.url, { token: null })
    expect(await download.text()).toBe(made.file.bytes)
    const { node: second } = await holdall.ask(
      'query ($id: ID!) { node(id: $id) { ... on File { size sha256 metadata } } }',
      { id: made.second.id },
      as(made),
    )
    expect(second).toEqual({
      size: made.second.size,
      sha256: made.second.sha256,
      metadata: { plate: 7 },
    })
  },
)

test('nothing of ADMIN_TOKEN is stored after an upgrade', async () => {
  const { holdall } = await openUpgraded('0015')
  const rows = await holdall.app.db
    .selectFrom('apiTokens')
    .select(['name', 'prefix'])
    .orderBy('createdAt')
    .limit(2)
    .execute()
  expect(rows).toEqual([
    { name: 'First token', prefix: '' },
    { name: 'of a viewer', prefix: expect.stringMatching(/^hld_[\w-]{4}$/) },
  ])
})

test.each(versions)('%s: trashed entries can be restored after an upgrade', async (version) => {
  const { holdall, made } = await openUpgraded(version)
  const input = { entries: [{ entry: { id: made.trashedId } }] }
  const restored = await act(holdall, 'restoreEntries', input, 'succeeded', as(made))
  expect(restored.succeeded).toBe(1)
  expect(await entryByPath(holdall, made.workspaceId, 'gone/old.txt', as(made))).not.toBeNull()
})

test.each(versions)(
  '%s: uploads begun before an upgrade can be finished after it',
  async (version) => {
    const { holdall, made } = await openUpgraded(version)
    const upload = { id: made.open.id, url: made.open.path, headers: [], status: 'RECEIVING' }
    expect(await sendBytes(holdall, upload, '456789', made.open.offset, as(made))).toBe(
      made.open.size,
    )
    const whole = await confirmUpload(holdall, { uploadId: made.open.id }, as(made))
    expect(whole.size).toBe(made.open.size)
    const received = await confirmUpload(holdall, { uploadId: made.received.id }, as(made))
    expect(received.name).toBe(made.received.name)
  },
)

test.each(versions)(
  '%s: tokens and share links of an earlier version keep their access',
  async (version) => {
    const { holdall, made } = await openUpgraded(version)
    const { token } = made.viewer
    expect(await entryByPath(holdall, made.workspaceId, made.file.path, { token })).not.toBeNull()
    const share = await sharedName(holdall, made.share)
    expect(share).toBe('raw')
  },
)

test.each(versions)('%s: fsck finds nothing after an upgrade', async (version) => {
  const { holdall } = await openUpgraded(version)
  expect(await findings(holdall, { deep: true })).toEqual([])
})

test.each(versions)(
  '%s: files of an earlier version have no contentModifiedAt',
  async (version) => {
    const { holdall, made } = await openUpgraded(version)
    const { workspaceId, file } = made
    const byTime = async (direction: string) => {
      const { workspace } = await holdall.ask(
        `query ($id: ID!) { workspace(by: { id: $id }) {
        entries(filter: { type: FILE }, orderBy: { field: CONTENT_MODIFIED_AT, direction: ${direction} }) {
          nodes { id ... on File { contentModifiedAt version { contentModifiedAt } } } } } }`,
        { id: workspaceId },
        as(made),
      )
      return workspace.entries.nodes
    }
    for (const node of await byTime('ASC'))
      expect(node).toMatchObject({ contentModifiedAt: null, version: { contentModifiedAt: null } })
    const contentModifiedAt = '2019-03-04T05:06:07.000Z'
    const next = { workspaceId, name: 'plate.csv', versionOf: file.id, bytes: 'next' }
    await uploadFile(holdall, { ...next, contentModifiedAt }, as(made))
    for (const direction of ['ASC', 'DESC']) {
      const [first, second] = await byTime(direction)
      expect(first).toMatchObject({ id: file.id, contentModifiedAt })
      expect(second.contentModifiedAt).toBeNull()
    }
  },
)

async function sharedName(
  holdall: TestServer,
  { path, password }: { path: string; password: string },
) {
  const token = path.split('/').at(-1)
  const data = await holdall.ask(
    `query ($token: String!, $password: String) {
      shared(token: $token, password: $password) { entry { name } }
    }`,
    { token, password },
    { token: null },
  )
  return data.shared.entry.name
}
