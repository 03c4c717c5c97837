import fc from 'fast-check'
import { act, batch, createFolder, items } from '../client.ts'
import type { TestServer } from '../servers/test-server.ts'
import { entriesOf } from './trees.ts'

/** An operation on a tree. Its numbers select the entries when it is performed. */
export type TreeOperation = { what: Kind; one: number; other: number; how: number }
const kinds = ['make', 'rename', 'describe', 'move', 'copy', 'trash', 'restore', 'purge'] as const
type Kind = (typeof kinds)[number]

const number = fc.nat(1000)
/** Moves, renames and round trips find the most bugs, so they are more frequent. */
const likely = [...kinds, 'move', 'move', 'rename', 'trash', 'restore'] as const
export const treeOperations: fc.Arbitrary<TreeOperation> = fc.record({
  what: fc.constantFrom<Kind>(...likely),
  one: number,
  other: number,
  how: number,
})

const names = ['a', 'b', 'c', 'd', 'e', 'f']
const pick = <T>(list: readonly T[], number: number) => list[number % Math.max(list.length, 1)]

/** Performs an operation through the API; an error of the API is ignored. */
export async function performOperation(
  holdall: TestServer,
  workspaceId: string,
  operation: TreeOperation,
): Promise<void> {
  const { living, trashed } = await entriesOf(holdall.app.db, workspaceId)
  const folders = living.filter(({ kind }) => kind === 'folder')
  const one = pick(
    living.filter(({ parentId }) => parentId !== null),
    operation.one,
  )
  if (!one && operation.what !== 'make') return
  const gone = pick(trashed, operation.one)
  const into = pick(folders, operation.other)
  const name = pick(names, operation.how)
  const onConflict = pick(['FAIL', 'RENAME', 'REPLACE'], operation.how)
  const entry = one && { id: one.id }
  const entries = one ? items(one) : []
  const destination = { id: into?.id }
  const restorable = gone ? [{ entry: { id: gone.id } }] : []
  const actions: Record<Kind, () => unknown> = {
    make: () => createFolder(holdall, { folder: destination, name, onConflict: 'RENAME' }),
    rename: () => act(holdall, 'updateEntry', { entry, name }, '__typename'),
    describe: () =>
      act(holdall, 'updateEntry', { entry, description: `${operation.how}` }, '__typename'),
    move: () => batch(holdall, 'moveEntries', { entries, folder: destination, onConflict }),
    copy: () => batch(holdall, 'copyEntries', { entries, folder: destination, onConflict }),
    trash: () => batch(holdall, 'trashEntries', { entries, recursive: true }),
    restore: () => batch(holdall, 'restoreEntries', { entries: restorable }),
    purge: () => batch(holdall, 'purgeEntries', { entries: restorable }),
  }
  await Promise.resolve(actions[operation.what]()).catch(ignoreApiErrors)
}

/** Ignores errors of the API, as client.ts formats them; rethrows any other. */
function ignoreApiErrors(error: Error) {
  if (!/^\w+: [A-Z_]+ /.test(error.message)) throw error
}
