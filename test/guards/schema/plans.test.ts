import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { transact } from '../../../src/database/transaction.ts'
import { encodeSyncCursor } from '../../../src/domains/activity/sync-cursor.ts'
import { claim } from '../../../src/jobs/queue.ts'
import {
  act,
  confirmUpload,
  createFolder,
  createUpload,
  downloadUrl,
  sendBytes,
  type UploadHandle,
  uploadFile,
} from '../../support/client.ts'
import { allChanges } from '../../support/data/changes.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { createTenant, giveToken, type Place } from '../authorisation/tenant-fixture.ts'
import { analyzeTables, hasPlan, isSlow, slowSteps, statementsOf } from './plan-steps.ts'

let holdall: TestServer
let place: Place
let upload: UploadHandle
const directions = ['ASC', 'DESC']

beforeAll(async () => {
  holdall = await startTestServer()
  place = await createTenant(holdall, 'lab')
  await fill(place)
  upload = await createUpload(holdall, {
    workspaceId: place.workspaceId,
    name: 'slow.bin',
    size: 8,
  })
  await analyzeTables(holdall.app.db)
}, 120_000)
afterAll(() => holdall?.[Symbol.asyncDispose]())

/** Adds a few hundred rows to each list. */
async function fill({ workspaceId, rootId, fileId, filePath }: Place) {
  const others = Array.from({ length: 130 }, (_, i) => i)
  for (const i of others) {
    const tags = [`tag ${i}`]
    const folder = { id: rootId }
    await createFolder(holdall, { folder, name: `folder ${i}`, tags })
  }
  for (const i of others.slice(0, 60)) {
    const metadata = i % 2 === 0 ? { mtime: i } : {}
    await uploadFile(holdall, { workspaceId, name: `file ${i}`, bytes: 'x'.repeat(i), metadata })
  }
  const name = filePath
  for (const i of others.slice(0, 20)) {
    await uploadFile(holdall, { workspaceId, versionOf: fileId, name, bytes: `version ${i}` })
    await act(holdall, 'addMember', { workspaceId, email: `m${i}@example.org` }, '__typename')
    await act(holdall, 'createWorkspace', { name: `other ${i}` }, '__typename')
    await giveToken(holdall, { workspaceId })
  }
  const entries = others
    .slice(60)
    .map((i) => ({ entry: { path: { workspaceId, path: `folder ${i}` } } }))
  await act(holdall, 'trashEntries', { entries }, 'succeeded')
}

async function expectIndexed(fn: () => Promise<unknown>) {
  const statements = await statementsOf(holdall.app.db, fn)
  expect(statements.filter(hasPlan).length).toBeGreaterThan(0)
  expect(await slowSteps(holdall.app.db, statements)).toEqual([])
}

/** Reads the first page, the page after its middle, the page before that, and the last one. */
async function readPages(id: string, type: string, list: string, args: string[] = []) {
  const read = async (...more: string[]) => {
    const allArguments = [...args, ...more].join(', ')
    const query = `query ($id: ID!) { node(id: $id) { ... on ${type} { list: ${list}(${allArguments}) {
      totalCount edges { cursor node { __typename } } pageInfo { hasNextPage hasPreviousPage }
    } } } }`
    return (await holdall.ask(query, { id })).node.list
  }
  const { edges, totalCount } = await read('first: 12')
  expect(totalCount).toBeGreaterThan(12)
  const middle = JSON.stringify(edges[6].cursor)
  const next = await read('first: 5', `after: ${middle}`)
  const previous = await read('last: 5', `before: ${middle}`)
  const last = await read('last: 5')
  for (const page of [next, previous, last]) expect(page.edges).toHaveLength(5)
}

const entryFieldNames = ['NAME', 'SIZE', 'CREATED_AT', 'UPDATED_AT', 'CONTENT_MODIFIED_AT']
const entryOrders = entryFieldNames.flatMap((field) =>
  directions.flatMap((direction) =>
    [true, false].map(
      (first) => `field: ${field}, direction: ${direction}, foldersFirst: ${first}`,
    ),
  ),
)
const trashOrders = ['TRASHED_AT', 'NAME', 'SIZE'].flatMap((field) =>
  directions.map((direction) => `field: ${field}, direction: ${direction}`),
)

describe('a page of a list neither scans nor sorts', () => {
  test.each(entryOrders)('children by %s', (order) =>
    expectIndexed(() => readPages(place.rootId, 'Folder', 'children', [`orderBy: { ${order} }`])),
  )

  test.each(entryOrders)('the flat list by %s', (order) =>
    expectIndexed(() =>
      readPages(place.workspaceId, 'Workspace', 'entries', [`orderBy: { ${order} }`]),
    ),
  )

  test.each(trashOrders)('the trash by %s', (order) =>
    expectIndexed(() =>
      readPages(place.workspaceId, 'Workspace', 'trash', [`orderBy: { ${order} }`]),
    ),
  )

  test.each(['tags', 'uploads', 'members', 'apiTokens', 'activity'])('%s', (list) =>
    expectIndexed(() => readPages(place.workspaceId, 'Workspace', list)),
  )

  // A user has few memberships; their names are in another table, so they are looked up and sorted.
  test.each(['NAME', 'CREATED_AT'])(
    'the workspaces of a user by %s, except for the sort',
    async (field) => {
      const query = `{ viewer { workspaces(first: 5, orderBy: { field: ${field} }) { totalCount edges { cursor } } } }`
      const statements = await statementsOf(holdall.app.db, () => holdall.ask(query))
      const slow = await slowSteps(holdall.app.db, statements)
      expect(slow.filter((step) => !step.startsWith('USE TEMP B-TREE FOR ORDER BY'))).toEqual([])
    },
  )

  test('versions', () => expectIndexed(() => readPages(place.fileId, 'File', 'versions')))

  test('the activity of one entry', () =>
    expectIndexed(() =>
      readPages(place.workspaceId, 'Workspace', 'activity', [
        `filter: { entryId: "${place.fileId}" }`,
      ]),
    ))
})

const entryFields = `__typename id name path tags { name } createdBy { name } updatedBy { name }
  trash { purgeAt } parent { id } ancestors { id } workspace { name }
  ... on File { size version { number createdBy { name } } }`

describe('lookups use an index', () => {
  beforeAll(async () => {
    const { workspaceId, folderId } = place
    await uploadFile(holdall, { workspaceId, folderId, name: 'in the box', bytes: 'x' })
  })

  const search = async (query: string, filter: object = {}) => {
    const document = `query ($id: ID!, $query: String!, $filter: EntryFilter, $after: String) {
      workspace(by: { id: $id }) { search(query: $query, filter: $filter, first: 5, after: $after) {
        totalCount edges { cursor highlights { text } node { id } }
      } }
    }`
    const variables = { id: place.workspaceId, query, filter }
    const { edges, totalCount } = (await holdall.ask(document, variables)).workspace.search
    const after = edges[0]?.cursor
    if (after) await holdall.ask(document, { ...variables, after })
    return totalCount
  }

  test.each([
    ['one word', 'file', {}],
    ['two words', 'file 7', {}],
    ['the beginning of a word', 'fol', {}],
    ['a phrase', '"folder 7"', {}],
    ['a tag', 'tag 7', {}],
    ['what is in a folder', 'lab -nothing in', {}],
    ['all but a word', '-file', {}],
    ['words and a filter', 'file', { type: 'FILE', size: { gte: 1 }, tags: { noneOf: ['x'] } }],
    ['words below a path', 'box', { pathPrefix: 'lab box/' }],
    ['words and a pattern', 'file', { pathGlob: '*5*' }],
  ])('search: %s', async (_, query, filter) => {
    const statements = await statementsOf(holdall.app.db, async () =>
      expect(await search(query, filter)).toBeGreaterThan(0),
    )
    // Rows are fetched by id, regardless of how many others the workspace has.
    const isScan = (step: string) => isSlow(step) || /entries_workspaceId_kind/.test(step)
    expect(await slowSteps(holdall.app.db, statements, isScan)).toEqual([])
  })

  test.each(['pathGlob: "*e*"', 'pathRegex: "[a-z]"', 'pathPrefix: "f"'])(
    'a flat list by %s',
    (filter) =>
      expectIndexed(() =>
        readPages(place.workspaceId, 'Workspace', 'entries', [`filter: { ${filter} }`]),
      ),
  )

  // Below a small folder the entries are collected through the folders, then sorted.
  test.each(['pathGlob: "lab box/**"', 'pathRegex: "^lab box/.*x$"', 'pathPrefix: "lab box/"'])(
    'a flat list below a folder by %s, except for the sort',
    async (filter) => {
      const query = `query ($id: ID!) { workspace(by: { id: $id }) {
        entries(filter: { ${filter} }) { totalCount nodes { id } }
      } }`
      const statements = await statementsOf(holdall.app.db, () =>
        holdall.ask(query, { id: place.workspaceId }),
      )
      const walks = statements.filter(({ sql }) => sql.includes('"e"."workspaceId" ='))
      const slow = await slowSteps(holdall.app.db, statements)
      expect(statements.length).toBeGreaterThan(2)
      expect(walks).toEqual([])
      expect(slow.filter((step) => !step.startsWith('USE TEMP B-TREE FOR ORDER BY'))).toEqual([])
    },
  )

  test('updates one entry by its key, in the search index too', () =>
    expectIndexed(async () => {
      const entry = { id: place.fileId }
      await act(
        holdall,
        'updateEntry',
        { entry, description: 'changed', tags: ['new'] },
        '__typename',
      )
    }))
})

describe('one object is looked up by an index, not by a scan', () => {
  test('node(id:) of every type', () => {
    const { workspaceId, folderId, fileId, versionId, uploadId, tagId, tokenId, userId, eventId } =
      place
    const ids = [
      workspaceId,
      folderId,
      fileId,
      versionId,
      uploadId,
      tagId,
      tokenId,
      userId,
      eventId,
    ]
    return expectIndexed(async () => {
      for (const id of ids) {
        const { node } = await holdall.ask('query ($id: ID!) { node(id: $id) { id } }', { id })
        expect(node).toEqual({ id })
      }
      const { nodes } = await holdall.ask('query ($ids: [ID!]!) { nodes(ids: $ids) { id } }', {
        ids,
      })
      expect(nodes).toHaveLength(ids.length)
    })
  })

  test('S16: everything about the entries of a page', () =>
    expectIndexed(() =>
      holdall.ask(
        `query ($id: ID!) { node(id: $id) { ... on Folder { totals { bytes } children(first: 30) { nodes { ${entryFields} } } } } }`,
        { id: place.rootId },
      ),
    ))

  test('entryByPath and the workspace by its slug', () =>
    expectIndexed(async () => {
      const query = `query ($slug: String!, $path: String!) {
        workspace(by: { slug: $slug }) { entryByPath(path: $path) { ${entryFields} } }
      }`
      const { workspace } = await holdall.ask(query, { slug: place.slug, path: place.filePath })
      expect(workspace.entryByPath.id).toBe(place.fileId)
    }))

  test('S26: the counts of createUpload, with an index of its own for the creator’s unfinished uploads', async () => {
    const { workspaceId } = place
    const { db } = holdall.app
    const create = () => createUpload(holdall, { workspaceId, name: 'one more.bin', size: 8 })
    const statements = await statementsOf(db, create)
    expect(await slowSteps(db, statements)).toEqual([])
    const counts = statements.filter(({ sql }) => /sum.* from "uploads"/.test(sql))
    expect(counts).toHaveLength(1)
    const isOther = (step: string) => /Index/i.test(step) && !/uploads_unfinished/.test(step)
    expect(await slowSteps(db, counts, isOther)).toEqual([])
  })

  test('an upload from HEAD to confirm', () =>
    expectIndexed(async () => {
      await holdall.http(upload.url, { method: 'HEAD', headers: { 'tus-resumable': '1.0.0' } })
      await sendBytes(holdall, upload, '1234')
      await sendBytes(holdall, upload, '5678', 4)
      await confirmUpload(holdall, { uploadId: upload.id })
    }))

  test('a download, by its link and by token', () =>
    expectIndexed(async () => {
      const signed = await holdall.http(await downloadUrl(holdall, place.fileId), { token: null })
      expect([signed.status, await signed.text()]).toEqual([200, 'version 19'])
      const bearer = await holdall.http(`/download/${place.fileId}`)
      expect([bearer.status, await bearer.text()]).toEqual([200, 'version 19'])
    }))

  test('changes since the first event, and the full snapshot', () =>
    expectIndexed(async () => {
      const { workspaceId } = place
      const since = encodeSyncCursor(holdall.app.signingKeys, workspaceId, { seq: 0 })
      const { changes } = await allChanges(holdall, workspaceId, { since, first: 40 })
      expect(changes.length).toBeGreaterThan(300)
      const snapshot = await allChanges(holdall, workspaceId, { first: 40 })
      expect(snapshot.changes.length).toBeGreaterThan(100)
    }))

  test('the next job', () =>
    expectIndexed(() =>
      claim(holdall.app.db, { owner: 'x', now: 0, leaseMs: 1, kinds: ['a', 'b'] }),
    ))
})

test('the guard detects scans and sorts, also in a transaction', async () => {
  const { db } = holdall.app
  const statements = await statementsOf(db, () =>
    transact(db, async (tx) => {
      await tx.selectFrom('entries').select('id').where('description', '=', 'x').execute()
      await tx
        .selectFrom('tags')
        .select('id')
        .where('workspaceId', '=', 'x')
        .orderBy('color')
        .execute()
    }),
  )
  expect(await slowSteps(db, statements)).toEqual([
    expect.stringContaining('SCAN entries'),
    expect.stringContaining('USE TEMP B-TREE'),
  ])
})
