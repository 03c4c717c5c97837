import { sql } from 'kysely'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  createWorkspace,
  downloadUrl,
  type FileHandle,
  trashEntries,
  uploadFile,
} from '../../support/client.ts'
import { invite, type Person } from '../../support/data/people.ts'
import { database } from '../../support/databases.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const HOUR_MS = 3_600_000
const bytes = 'abcdefghij'
let holdall: TestServer
let workspaceId: string
let file: FileHandle
let link: string
let later: number

beforeEach(async () => {
  later = 0
  holdall = await startTestServer({ now: () => Date.now() + later })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
  file = await uploadFile(holdall, { workspaceId, path: 'raw', name: 'a.txt', bytes })
  link = await downloadUrl(holdall, file.id, '(expiresInSeconds: 604800)')
})

type Event = {
  actor: { id: string } | null
  token: { id: string } | null
  entryId: string
  path: string
  details: Record<string, unknown>
}

/** Returns the logged downloads, oldest first; waits for `count` of them. */
async function downloads(count: number, filter: object = {}): Promise<Event[]> {
  const query = `query ($id: ID!, $filter: ActivityFilter) { workspace(by: { id: $id }) {
    activity(first: 100, filter: $filter) { nodes { actor { id } token { id } entryId path details } }
  } }`
  const requested = { id: workspaceId, filter: { actions: ['FILE_DOWNLOADED'], ...filter } }
  const read = async () => (await holdall.ask(query, requested)).workspace.activity.nodes as Event[]
  await expect.poll(async () => (await read()).length).toBe(count)
  // Waits, so that a surplus event would be seen.
  await new Promise((resolve) => setTimeout(resolve, 150))
  const events = await read()
  expect(events).toHaveLength(count)
  return events.toReversed()
}

async function get(url: string, headers: Record<string, string> = {}, token: string | null = null) {
  const response = await holdall.http(url, { headers, token })
  return [response.status, await response.text()]
}
const range = (text: string) => ({ range: `bytes=${text}` })

describe('a download is logged', () => {
  test('by its signed link: which file and version, how many bytes, and no actor', async () => {
    expect(await get(link)).toEqual([200, bytes])
    expect(await downloads(1)).toEqual([
      {
        actor: null,
        token: null,
        entryId: file.id,
        path: 'raw/a.txt',
        details: { versionId: file.version.id, via: 'LINK', bytes: 10 },
      },
    ])
  })

  test('by token: with its user and token', async () => {
    const ann = await invite(holdall, workspaceId, 'VIEWER')
    expect(await get(`/download/${file.id}`, {}, ann.token)).toEqual([200, bytes])
    const [event] = await downloads(1)
    expect(event).toMatchObject({
      actor: { id: ann.userId },
      token: { id: ann.tokenId },
      path: 'raw/a.txt',
      details: { via: 'TOKEN' },
    })
  })

  test('of a PUBLIC workspace: without an actor or an address', async () => {
    await act(holdall, 'updateWorkspace', { workspaceId, visibility: 'PUBLIC' }, '__typename')
    expect(await get(`/download/${file.id}`)).toEqual([200, bytes])
    const [event] = await downloads(1)
    expect(event).toMatchObject({ actor: null, token: null })
    expect(event?.details).toEqual({ versionId: file.version.id, via: 'PUBLIC', bytes: 10 })
  })

  test('of an older version: that version, at the current path of the file', async () => {
    await uploadFile(holdall, {
      workspaceId,
      path: 'raw',
      name: 'a.txt',
      bytes: 'newer',
      onConflict: 'NEW_VERSION',
    })
    await act(holdall, 'updateEntry', { entry: { id: file.id }, name: 'b.txt' }, '__typename')
    expect(await get(link)).toEqual([200, bytes])
    const [event] = await downloads(1)
    expect(event).toMatchObject({ path: 'raw/b.txt', details: { versionId: file.version.id } })
  })

  test('also of an empty file, and each time that it is sent whole', async () => {
    const empty = await uploadFile(holdall, { workspaceId, name: 'empty', bytes: '' })
    const url = await downloadUrl(holdall, empty.id)
    for (let i = 0; i < 3; i++) expect(await get(url)).toEqual([200, ''])
    const events = await downloads(3, { entryId: empty.id })
    expect(events.map(({ details }) => details.bytes)).toEqual([0, 0, 0])
  })

  test('by each of a hundred concurrent requests, without a gap in the log', async () => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => get(link)))
    expect(new Set(answers.map(([status]) => status))).toEqual(new Set([200]))
    await downloads(100)
    const rows = await holdall.app.db
      .selectFrom('activity')
      .select('seq')
      .where('workspaceId', '=', workspaceId)
      .orderBy('seq')
      .execute()
    expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, i) => i + 1))
  })
})

describe('range requests are one download', () => {
  const parts = async (url: string, token: string | null = null) => {
    expect(await get(url, range('0-3'), token)).toEqual([206, 'abcd'])
    expect(await get(url, range('4-'), token)).toEqual([206, 'efghij'])
  }

  test('by one link within an hour; after that another one', async () => {
    await parts(link)
    await parts(link)
    const [event] = await downloads(1)
    expect(event?.details.bytes).toBe(4)
    later = HOUR_MS
    await parts(link)
    await downloads(2)
  })

  test('and the ranges that follow a full request belong to it', async () => {
    await get(link)
    await get(link, range('5-'))
    expect((await downloads(1))[0]?.details.bytes).toBe(10)
  })

  test('but not for another link, token or version', async () => {
    const people: Person[] = [
      await invite(holdall, workspaceId),
      await invite(holdall, workspaceId),
    ]
    for (const { token } of people) await parts(`/download/${file.id}`, token)
    later += 1000
    await parts(await downloadUrl(holdall, file.id))
    await parts(link)
    await uploadFile(holdall, {
      workspaceId,
      path: 'raw',
      name: 'a.txt',
      bytes,
      onConflict: 'NEW_VERSION',
    })
    await parts(`/download/${file.id}`, people[0]?.token)
    await downloads(5)
  })

  test('if they are concurrent', async () => {
    const { status } = await holdall.http(link, { headers: range('0-1,5-6'), token: null })
    expect(status).toBe(206)
    expect((await downloads(1))[0]?.details.bytes).toBe(4)
  })
})

describe('is not a download', () => {
  test('a HEAD, a refused request, or a 304', async () => {
    const head = await holdall.http(link, { method: 'HEAD', token: null })
    const etag = head.headers.get('etag') ?? ''
    const unlike = { 'if-match': '"other"' }
    const statuses = [
      head.status,
      (await get(link, { 'if-none-match': etag }))[0],
      (await get(link, unlike))[0],
      (await get(link, range('99-')))[0],
      (await get(`${link.slice(0, -20)}x/a.txt`))[0],
      (await get(`/download/${file.id}`))[0],
    ]
    expect(statuses).toEqual([200, 304, 412, 416, 403, 401])
    await trashEntries(holdall, file)
    expect((await get(link))[0]).toBe(404)
    await downloads(0)
  })
})

const breakDownloadLog = {
  SQLite: sql`CREATE TRIGGER "full" BEFORE INSERT ON activity WHEN NEW.action = 'FILE_DOWNLOADED'
    BEGIN SELECT RAISE(FAIL, 'the disk is full'); END`,
  PostgreSQL: sql`ALTER TABLE activity ADD CONSTRAINT "full" CHECK (action <> 'FILE_DOWNLOADED')`,
}
const allowDownloads = {
  SQLite: sql`DROP TRIGGER "full"`,
  PostgreSQL: sql`ALTER TABLE activity DROP CONSTRAINT "full"`,
}

test('downloads succeed even if the log cannot be written', async () => {
  const { db } = holdall.app
  await breakDownloadLog[database].execute(db)
  for (let i = 0; i < 3; i++) expect(await get(link)).toEqual([200, bytes])
  await new Promise((resolve) => setTimeout(resolve, 200))
  await allowDownloads[database].execute(db)
  await get(link)
  await downloads(1)
})

test('downloads are logged before the server closes', async () => {
  await get(link)
  await holdall.restart()
  await downloads(1)
})
