import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { EntryRow } from '../../src/domains/entries/reads.ts'
import { batch } from '../../src/domains/entries/batch.ts'
import { moveEntries } from '../../src/domains/entries/moves.ts'
import { updateEntry } from '../../src/domains/entries/writes.ts'
import { copyEntries } from '../../src/domains/files/copy.ts'
import { createFolder } from '../../src/domains/folders/writes.ts'
import { purgeEntries } from '../../src/domains/trash/purge.ts'
import { restoreEntries, trashEntries } from '../../src/domains/trash/writes.ts'
import { changesBehind } from '../../src/domains/changes/reads.ts'
import { type Place, readCursor, writeCursor } from '../../src/domains/activity/place.ts'
import { DomainError } from '../../src/errors.ts'
import { inTransaction, type Scope } from '../../src/scope.ts'
import { createWorkspace, uploadFile } from '../support/client.ts'
import { type House, openHouse } from '../support/house.ts'

void batch
/** Keeps names and parents, as a client that stores what it is told. */
class Mirror {
  place: Place | null = null
  known = new Map<string, { name: string; parentId: string | null; revision: number }>()
  hasMore = true

  async sync(scope: Scope, workspaceId: string, first: number) {
    const batch = await changesBehind(scope, workspaceId, this.place, first)
    for (const change of batch.changes) {
      if (change.kind === 'upserted') {
        const { id, name, parentId, revision } = change.entry
        this.known.set(id, { name, parentId, revision })
      } else if (change.kind === 'removed') this.drop(change.entryId)
    }
    // As a cursor: what is not in it is lost.
    this.place = readCursor('s', 'w', writeCursor('s', 'w', batch.place))
    this.hasMore = batch.hasMore
    return batch.changes.length
  }

  drop(id: string) {
    this.known.delete(id)
    for (const [child, { parentId }] of [...this.known]) if (parentId === id) this.drop(child)
  }
}

async function livingTree(scope: Scope, workspaceId: string) {
  const rows = await scope.db
    .selectFrom('entries')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .where('purgingAt', 'is', null)
    .execute()
  const byId = new Map(rows.map((row) => [row.id, row]))
  const lives = (row: EntryRow): boolean =>
    row.kind === 'folder'
      ? row.trashRootId === null
      : row.parentId !== null && byId.get(row.parentId)?.trashRootId === null
  return new Map(
    rows.filter(lives).map(({ id, name, parentId, revision }) => [id, { name, parentId, revision }]),
  )
}

type Step = { op: string; a: number; b: number; n: number }

async function play(scope: Scope, workspaceId: string, { op, a, b, n }: Step) {
  const rows = await scope.db
    .selectFrom('entries')
    .selectAll()
    .where('workspaceId', '=', workspaceId)
    .where('purgingAt', 'is', null)
    .orderBy('id')
    .execute()
  const byId = new Map(rows.map((r) => [r.id, r]))
  const lives = (row: EntryRow) =>
    row.kind === 'folder'
      ? row.trashRootId === null
      : row.parentId !== null && byId.get(row.parentId)?.trashRootId === null
  const living = rows.filter(lives)
  const folders = living.filter((r) => r.kind === 'folder')
  const others = living.filter((r) => r.parentId !== null)
  const trashed = rows.filter((r) => r.trashedAt !== null)
  const pick = <T>(list: T[], i: number): T | undefined => list[i % Math.max(1, list.length)]
  const one = pick(others, a)
  const folder = pick(folders, b)
  const gone = pick(trashed, a)
  const onConflict = (['FAIL', 'RENAME', 'REPLACE'] as const)[n % 3] ?? 'FAIL'
  const mode = 'ALL_OR_NOTHING' as const
  const tell = (p: Promise<unknown>) =>
    p.catch((error) => {
      if (!(error instanceof DomainError)) throw error
    })
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  const name = names[n % names.length] ?? 'a'
  switch (op) {
    case 'make':
      return tell(createFolder(scope, { parent: { id: folder?.id }, name, createParents: false, onConflict: 'RENAME' }))
    case 'rename':
      return one && tell(inTransaction(scope, (s) => updateEntry(s, { entry: { id: one.id }, name })))
    case 'touch':
      return one && tell(inTransaction(scope, (s) => updateEntry(s, { entry: { id: one.id }, description: name })))
    case 'move':
      return one && tell(moveEntries(scope, { entries: [{ entry: { id: one.id } }], destination: { id: folder?.id }, onConflict, mode }))
    case 'copy':
      return one && tell(copyEntries(scope, { entries: [{ entry: { id: one.id } }], destination: { id: folder?.id }, onConflict, mode }))
    case 'trash':
      return one && tell(trashEntries(scope, { entries: [{ entry: { id: one.id } }], recursive: true, mode }))
    case 'restore':
      return gone && tell(restoreEntries(scope, { entryIds: [gone.id], onConflict: 'RENAME', mode }))
    case 'purge':
      return gone && n % 3 === 0 && tell(purgeEntries(scope, { entryIds: [gone.id], mode }))
  }
}

const ops = ['make', 'make', 'rename', 'rename', 'touch', 'move', 'move', 'move', 'copy', 'trash', 'trash', 'restore', 'restore', 'purge', 'sync', 'sync', 'sync', 'syncAll']
const step = fc.record({ op: fc.constantFrom(...ops), a: fc.nat(1000), b: fc.nat(1000), n: fc.nat(1000) })

describe('a client', () => {
  test('that asks whenever it likes has the tree in the end', async () => {
    const house = await openHouse()
    onTestFinished(() => house[Symbol.asyncDispose]())
    const scope = await house.app.scopeFor(`Bearer ${house.token}`, '')
    let runs = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), async (steps) => {
        runs++
        const { id } = await createWorkspace(house as House, { name: `w${runs}` })
        await uploadFile(house, { workspaceId: id, path: 'x/y', name: 'seed', bytes: 'seed' })
        for (let i = 0; i < 6; i++) for (const op of ['make', 'copy', 'make']) await play(scope, id, { op, a: i * 7, b: i * 5 + 1, n: i })
        const mirror = new Mirror()
        for (const s of steps) {
          if (s.op === 'sync') await mirror.sync(scope, id, 1 + (s.n % 4))
          else if (s.op === 'syncAll') while (mirror.hasMore) await mirror.sync(scope, id, 1 + (s.n % 50))
          else await play(scope, id, s)
        }
        do await mirror.sync(scope, id, 7)
        while (mirror.hasMore)
        expect(mirror.known).toEqual(await livingTree(scope, id))
      }),
      { numRuns: Number(process.env.RUNS ?? 100), ...(process.env.SEED && { seed: Number(process.env.SEED) }) },
    )
  }, 600_000)
})
