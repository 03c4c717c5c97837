import fc from 'fast-check'
import { act, batch, createFolder, items } from './client.ts'
import type { TestServer } from './test-server.ts'
import { entriesOf } from './trees.ts'

/** Something that somebody does to a tree: which entries are meant, the numbers decide when it is done. */
export type Deed = { what: What; one: number; other: number; how: number }
const whats = ['make', 'rename', 'describe', 'move', 'copy', 'trash', 'restore', 'purge'] as const
type What = (typeof whats)[number]

const number = fc.nat(1000)
/** Moving about and going to and fro are what confuses; so there is more of it. */
const likely = [...whats, 'move', 'move', 'rename', 'trash', 'restore'] as const
export const deeds: fc.Arbitrary<Deed> = fc.record({
  what: fc.constantFrom<What>(...likely),
  one: number,
  other: number,
  how: number,
})

const names = ['a', 'b', 'c', 'd', 'e', 'f']
const pick = <T>(list: readonly T[], number: number) => list[number % Math.max(list.length, 1)]

/** Does it through the API; what the house refuses is not done. */
export async function perform(holdall: TestServer, workspaceId: string, deed: Deed): Promise<void> {
  const { living, trashed } = await entriesOf(holdall.app.db, workspaceId)
  const folders = living.filter(({ kind }) => kind === 'folder')
  const one = pick(
    living.filter(({ parentId }) => parentId !== null),
    deed.one,
  )
  if (!one && deed.what !== 'make') return
  const gone = pick(trashed, deed.one)
  const into = pick(folders, deed.other)
  const name = pick(names, deed.how)
  const onConflict = pick(['FAIL', 'RENAME', 'REPLACE'], deed.how)
  const entry = one && { id: one.id }
  const entries = one ? items(one) : []
  const destination = { id: into?.id }
  const entryIds = gone ? [gone.id] : []
  const ways: Record<What, () => unknown> = {
    make: () => createFolder(holdall, { parent: destination, name, onConflict: 'RENAME' }),
    rename: () => act(holdall, 'updateEntry', { entry, name }, '__typename'),
    describe: () =>
      act(holdall, 'updateEntry', { entry, description: `${deed.how}` }, '__typename'),
    move: () => batch(holdall, 'moveEntries', { entries, destination, onConflict }),
    copy: () => batch(holdall, 'copyEntries', { entries, destination, onConflict }),
    trash: () => batch(holdall, 'trashEntries', { entries, recursive: true }),
    restore: () => batch(holdall, 'restoreEntries', { entryIds }),
    purge: () => batch(holdall, 'purgeEntries', { entryIds }),
  }
  await Promise.resolve(ways[deed.what]()).catch(onlyRefusals)
}

/** As the client words them; a fault of the house is none. */
function onlyRefusals(error: Error) {
  if (!/^\w+: [A-Z_]+ /.test(error.message)) throw error
}
