import { beforeAll, expect, test } from 'vitest'
import { sweepBlobs } from '../../../src/domains/files/jobs.ts'
import {
  act,
  attempt,
  batch,
  createFolder,
  createUpload,
  createWorkspace,
  downloadUrl,
  items,
  sendBytes,
  trashEntries,
  uploadFile,
  type WorkspaceHandle,
} from '../../support/client.ts'
import { expectExact } from '../../support/data/recount.ts'
import { findings } from '../../support/inspection.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let lab: WorkspaceHandle
beforeAll(async () => {
  // The recount reads more at once than the default limit allows.
  holdall = await startTestServer({ env: { MAX_QUERY_COST: '100000' } })
  lab = await createWorkspace(holdall)
  return () => holdall[Symbol.asyncDispose]()
})

type Page = {
  children: {
    nodes: { id: string; name: string; path: string }[]
    pageInfo: { hasNextPage: boolean; endCursor: string }
  }
}
const folder = (name: string, more = {}) =>
  createFolder(holdall, { workspaceId: lab.id, name, createParents: true, ...more })
const put = (name: string, bytes: string, more = {}) =>
  uploadFile(holdall, { workspaceId: lab.id, name, bytes, ...more })

test('F14: listing while entries are renamed shows each remaining entry once, without errors', async () => {
  const { id } = await folder('listed')
  const all = await Promise.all(
    Array.from({ length: 60 }, (_, i) =>
      createFolder(holdall, { folder: { id }, name: `entry ${String(i).padStart(2, '0')}` }),
    ),
  )
  const moving = all.filter((_, i) => i % 3 === 0)
  let listing = true
  const renaming = (async () => {
    for (let i = 0; listing && i < 500; i++) {
      const one = moving[i % moving.length]
      const name = `${i % 2 ? 'a' : 'z'} renamed ${i}`
      await act(holdall, 'updateEntry', { entry: { id: one?.id }, name }, '__typename')
    }
  })()
  const query = `query ($id: ID!, $after: String) { node(id: $id) { ... on Folder {
    children(first: 7, after: $after) { nodes { id name path } pageInfo { hasNextPage endCursor } } } } }`
  for (let round = 0; round < 3; round++) {
    const seen: string[] = []
    let after: string | null = null
    for (let pages = 0; pages < 60; pages++) {
      const { node }: { node: Page } = await holdall.ask(query, { id, after })
      for (const entry of node.children.nodes) {
        seen.push(entry.id)
        expect(entry.path).toBe(`listed/${entry.name}`)
      }
      after = node.children.pageInfo.endCursor
      if (!node.children.pageInfo.hasNextPage) break
    }
    const still = all.filter((one) => !moving.includes(one)).map((one) => one.id)
    expect(seen.filter((one) => still.includes(one)).sort()).toEqual(still.sort())
  }
  listing = false
  await renaming
  await expectExact(holdall, lab)
})

test('F14: confirm fails if the folder was removed, and succeeds once it is restored', async () => {
  const { id } = await folder('goes/away')
  const upload = await createUpload(holdall, {
    workspaceId: lab.id,
    folderId: id,
    name: 'late.txt',
    size: 4,
  })
  await sendBytes(holdall, upload, 'la')
  const top = {
    id: (
      await holdall.ask(`query ($id: ID!) { node(id: $id) { ... on Folder { parent { id } } } }`, {
        id,
      })
    ).node.parent.id,
  }
  await trashEntries(holdall, top)
  await sendBytes(holdall, upload, 'te', 2)
  const confirm = () => attempt(holdall, 'confirmUpload', { uploadId: upload.id }, 'file { path }')
  expect((await confirm()).code).toBe('INVALID_STATE')
  await batch(holdall, 'restoreEntries', { entries: [{ entry: { id: top.id } }] })
  expect((await confirm()).file).toEqual({ path: 'goes/away/late.txt' })

  const other = await createUpload(holdall, {
    workspaceId: lab.id,
    folderId: id,
    name: 'never.txt',
    size: 4,
  })
  await sendBytes(holdall, other, 'late')
  await trashEntries(holdall, top)
  await act(holdall, 'purgeEntries', { entries: [{ entry: { id: top.id } }] }, 'succeeded')
  const gone = await attempt(holdall, 'confirmUpload', { uploadId: other.id }, 'file { path }')
  expect(gone.code).toMatch(/^(NOT_FOUND|INVALID_STATE)$/)
  await act(holdall, 'cancelUpload', { uploadId: other.id }, '__typename')
})

test('F14: creates paths while the folders above them are moved, renamed and trashed', async () => {
  const into = await folder('elsewhere')
  const made = await Promise.all(
    Array.from({ length: 40 }, async (_, i) => {
      if (i % 10 === 5) {
        const top = await folder('top', { onConflict: 'REUSE' })
        const ways = [
          () =>
            batch(holdall, 'moveEntries', {
              entries: items(top),
              folder: { id: into.id },
              onConflict: 'RENAME',
            }),
          () =>
            attempt(
              holdall,
              'updateEntry',
              { entry: { id: top.id }, name: `renamed ${i}` },
              '__typename',
            ),
          () => batch(holdall, 'trashEntries', { entries: items(top), recursive: true }),
        ]
        return ways[i % 3]?.().catch(onlyRefusals)
      }
      const input = {
        workspaceId: lab.id,
        name: `top/middle/${i % 4}/leaf`,
        createParents: true,
        onConflict: 'REUSE',
      }
      const { folder: made } = await attempt(holdall, 'createFolder', input, 'folder { path }')
      expect(made?.path).toMatch(/middle\/\d\/leaf$/)
      return made
    }),
  )
  expect(made).toHaveLength(40)
  await expectExact(holdall, lab)
  expect(await findings(holdall)).toEqual([])
})

function onlyRefusals(error: Error) {
  if (!/^\w+: [A-Z_]+ /.test(error.message)) throw error
}

test('F18: a version is restored while it is deleted and swept: the result is readable', async () => {
  for (let round = 0; round < 8; round++) {
    const name = `restored ${round}.txt`
    const first = await put(name, `first of ${round}`)
    await put(name, `second of ${round}`, { onConflict: 'NEW_VERSION' })
    const versionId = first.version.id
    const sweep = () => sweepBlobs(holdall.app, new AbortController().signal)
    const [deleted, restored] = await Promise.all([
      attempt(holdall, 'deleteVersion', { versionId }, '__typename'),
      attempt(holdall, 'restoreVersion', { versionId }, 'file { id }'),
      sweep(),
    ])
    await sweep()
    expect(
      [deleted.code, restored.code].every((code) =>
        [undefined, 'NOT_FOUND', 'INVALID_STATE'].includes(code),
      ),
    ).toBe(true)
    const response = await holdall.http(await downloadUrl(holdall, first.id), {
      token: null,
      redirect: 'follow',
    })
    const wanted = restored.code === undefined ? 'first' : 'second'
    expect(await response.text()).toBe(`${wanted} of ${round}`)
  }
  await expectExact(holdall, lab)
  expect(await findings(holdall, { deep: true })).toEqual([])
})

test('F18: a copy of an entry that is being purged is complete or fails; the same bytes sent again are kept', async () => {
  const to = await folder('copies')
  for (let round = 0; round < 8; round++) {
    const bytes = `purged in round ${round}`
    const file = await put(`purged ${round}.txt`, bytes)
    const entries = items(file)
    const [copied, , again] = await Promise.all([
      batch(holdall, 'copyEntries', { entries, folder: { id: to.id } }).catch(onlyRefusals),
      batch(holdall, 'trashEntries', { entries }).then(() =>
        batch(holdall, 'purgeEntries', { entries: [{ entry: { id: file.id } }] }),
      ),
      put(`again ${round}.txt`, bytes),
      sweepBlobs(holdall.app, new AbortController().signal),
    ])
    await sweepBlobs(holdall.app, new AbortController().signal)
    const there = [again.id, ...(copied?.results ?? []).flatMap(({ entry }) => entry?.id ?? [])]
    for (const id of there) {
      const response = await holdall.http(await downloadUrl(holdall, id), {
        token: null,
        redirect: 'follow',
      })
      expect(await response.text()).toBe(bytes)
    }
  }
  await expectExact(holdall, lab)
  expect(await findings(holdall, { deep: true })).toEqual([])
})
