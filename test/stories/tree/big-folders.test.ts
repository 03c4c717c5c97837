import { expect, test } from 'vitest'
import {
  batchDone,
  createFolder,
  createWorkspace,
  items,
  totalsOf,
  trashEntries,
} from '../../support/client.ts'
import { findings } from '../../support/inspection.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

/** More than two steps of a change. */
const FOLDERS = 1010

test('trashes, restores, renames and moves a folder of a thousand folders as one', {
  timeout: 120_000,
}, async () => {
  await using holdall = await startTestServer()
  const { id: workspaceId } = await createWorkspace(holdall)
  const lab = await createFolder(holdall, { workspaceId, name: 'Lab' })
  const other = await createFolder(holdall, {
    workspaceId,
    name: 'Other/Place',
    createParents: true,
  })
  const names = Array.from({ length: FOLDERS }, (_, n) => `${n % 2 ? 'Plate' : 'Run/Plate'} ${n}`)
  while (names.length > 0) await Promise.all(names.splice(0, 5).map((name) => made(name)))
  const paths = await pathsIn(holdall, workspaceId)
  expect(paths.filter((path) => path.startsWith('Lab/'))).toHaveLength(FOLDERS + 1)

  await trashEntries(holdall, lab)
  expect(await pathsIn(holdall, workspaceId)).toEqual(['', 'Other', 'Other/Place'])
  await batchDone(holdall, 'restoreEntries', { entries: [{ entry: { id: lab.id } }] })
  expect(await pathsIn(holdall, workspaceId)).toEqual(paths)
  await holdall.ask(renamed, { input: { entry: { id: lab.id }, name: 'lab' } })
  const [moving, destination] = [items(lab), { id: other.id }]
  await batchDone(holdall, 'moveEntries', { entries: moving, folder: destination })
  const moved = paths.map((path) => path.replace(/^Lab/, 'Other/Place/lab'))
  expect(await pathsIn(holdall, workspaceId)).toEqual(moved.sort())
  expect(await totalsOf(holdall, other)).toMatchObject({ folderCount: FOLDERS + 2 })
  expect(await findings(holdall)).toEqual([])

  function made(name: string) {
    return createFolder(holdall, { workspaceId, folder: { id: lab.id }, name, createParents: true })
  }
})

const renamed = 'mutation ($input: UpdateEntryInput!) { updateEntry(input: $input) { __typename } }'

/** Returns the paths of all live folders from the rows. */
async function pathsIn({ app }: TestServer, workspaceId: string): Promise<string[]> {
  const rows = await app.db
    .selectFrom('entries')
    .select('path')
    .where('workspaceId', '=', workspaceId)
    .where('trashRootId', 'is', null)
    .execute()
  return rows.map(({ path }) => path ?? '').sort()
}
