import fc from 'fast-check'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  decodeSyncCursor,
  encodeSyncCursor,
  type SyncPosition,
} from '../../src/domains/activity/sync-cursor.ts'
import { SyncCursorExpired } from '../../src/errors/input.ts'
import {
  act,
  batchDone,
  createFolder,
  createWorkspace,
  type EntryHandle,
  entryByPath,
  items,
  trashEntries,
  uploadFile,
} from '../support/client.ts'
import { changesOf, toMirrorChanges } from '../support/data/changes.ts'
import { Mirror } from '../support/data/mirror.ts'
import {
  performOperation,
  type TreeOperation,
  treeOperations,
} from '../support/data/tree-operations.ts'
import { treeOf } from '../support/data/trees.ts'
import { startTestServer, type TestServer } from '../support/servers/test-server.ts'
import { keysOf } from '../support/signing.ts'

describe('a cursor', () => {
  const keys = keysOf('secret')
  const number = fc.nat(Number.MAX_SAFE_INTEGER)
  const hex = fc.string({
    unit: fc.constantFrom(...'0123456789abcdef'),
    minLength: 32,
    maxLength: 32,
  })
  const mark = fc.string({ unit: fc.constantFrom(...'aZ09-_'), minLength: 8, maxLength: 8 })
  const file = fc.record({ createdAt: number, id: hex.map((id) => `file_${id}`) })
  const step = fc.record({
    folderId: hex.map((id) => `fld_${id}`),
    mark,
    file: fc.option(file),
  })
  const scan = fc.record({ of: fc.constantFrom('workspace', 'event'), at: fc.option(step) })
  const places: fc.Arbitrary<SyncPosition> = fc.record({
    seq: number,
    resendUntil: number,
    scan: fc.option(scan),
  })
  const write = (place: SyncPosition) => encodeSyncCursor(keys, 'ws_1', place)
  const read = (cursor: string) => decodeSyncCursor(keys, 'ws_1', cursor)

  test('decodes to the position that it was encoded from, and is short enough for a URL', () => {
    fc.assert(
      fc.property(places, (place) => {
        const cursor = write(place)
        const { seq, resendUntil, scan } = place
        const matters = scan !== null || resendUntil > seq
        expect(read(cursor)).toEqual(matters ? place : { ...place, resendUntil: 0 })
        expect(write(read(cursor))).toBe(cursor)
        expect(cursor.length).toBeLessThanOrEqual(256)
      }),
    )
  })

  test('is equal for equal positions, whatever was pending before', () => {
    expect(write({ seq: 7, resendUntil: 7, scan: null })).toBe(
      encodeSyncCursor(keys, 'ws_1', { seq: 7 }),
    )
    expect(write({ seq: 7, resendUntil: 8, scan: null })).not.toBe(
      write({ seq: 7, resendUntil: 0, scan: null }),
    )
  })

  test('is rejected if it is damaged or belongs to another workspace or installation', () => {
    fc.assert(
      fc.property(
        places,
        fc.nat(),
        fc.string({ minLength: 1, maxLength: 1 }),
        (place, at, other) => {
          const cursor = write(place)
          const index = at % cursor.length
          const damaged = cursor.slice(0, index) + other + cursor.slice(index + 1)
          if (damaged !== cursor) expect(() => read(damaged)).toThrow(SyncCursorExpired)
          expect(() => read(cursor.slice(0, index))).toThrow(SyncCursorExpired)
          expect(() => decodeSyncCursor(keys, 'ws_2', cursor)).toThrow(SyncCursorExpired)
          expect(() => decodeSyncCursor(keysOf('other'), 'ws_1', cursor)).toThrow(SyncCursorExpired)
        },
      ),
    )
  })

  test('is rejected if it was not issued by the server', () => {
    const text = (said: string) => Buffer.from(said).toString('base64url')
    const madeUp = ['', '0', 'x', text('1'), text('1.'), text('1.AAAAAAAAAAAAAAAA'), text('.'), '*']
    for (const cursor of madeUp) expect(() => read(cursor)).toThrow(SyncCursorExpired)
    fc.assert(
      fc.property(fc.string(), (cursor) => {
        expect(() => read(cursor)).toThrow(SyncCursorExpired)
      }),
    )
  })
})

describe('a client that keeps a copy', () => {
  let holdall: TestServer
  let workspaceId: string
  let client: ReturnType<typeof openClient>
  beforeEach(async () => {
    holdall = await startTestServer()
    onTestFinished(() => holdall[Symbol.asyncDispose]())
    workspaceId = (await createWorkspace(holdall)).id
    client = openClient(holdall, workspaceId)
  })

  const folder = (name: string) => createFolder(holdall, { workspaceId, name, createParents: true })
  const move = (entry: { id: string }, to: { id: string }) =>
    batchDone(holdall, 'moveEntries', { entries: items(entry), folder: { id: to.id } })
  const rename = (entry: { id: string }, name: string) =>
    act(holdall, 'updateEntry', { entry: { id: entry.id }, name }, '__typename')
  const restore = (entry: { id: string }) =>
    batchDone(holdall, 'restoreEntries', { entries: [{ entry: { id: entry.id } }] })
  const at = async (path: string) => (await entryByPath(holdall, workspaceId, path)) as EntryHandle

  test.each([1, 2, 100])(
    'loses nothing that left a folder before the folder went (%i at a time)',
    async (first) => {
      const [going, staying, inner] = [
        await folder('going'),
        await folder('going/staying'),
        await folder('going/staying/inner'),
      ]
      await client.catchUp()
      const root = await at('')
      await act(holdall, 'updateEntry', { entry: { id: going.id }, description: 'x' }, '__typename')
      await move(staying, root)
      await trashEntries(holdall, going)
      // The first event already shows that the folder was deleted.
      await client.catchUp(first)
      expect([...client.mirror.tree.keys()]).toEqual(expect.arrayContaining([staying.id, inner.id]))
      await client.expectTree()
    },
  )

  test.each([1, 2, 100])(
    'finds what came back, left, and whose folder went again (%i at a time)',
    async (first) => {
      const [going, staying] = [await folder('going'), await folder('going/staying')]
      await folder('going/staying/inner')
      await client.catchUp()
      await trashEntries(holdall, going)
      await client.catchUp(first)
      await restore(going)
      await move(staying, await at(''))
      await trashEntries(holdall, going)
      await client.catchUp(first)
      await client.expectTree()
    },
  )

  test('receives entries that move to where the snapshot has already been', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await folder(`${name}/${name}1/2`)
    // The root and the first five folders, up to b/b1.
    await client.read(6)
    await move(await at('d/d1'), await at('a'))
    await rename(await at('c'), 'a0')
    await client.catchUp(2)
    await client.expectTree()
  })

  describe('during the snapshot of a restored folder', () => {
    let top: EntryHandle
    beforeEach(async () => {
      for (let i = 0; i < 5; i++) await folder(`top/${i}/x/y`)
      top = await at('top')
      await client.catchUp()
      await trashEntries(holdall, top)
      await client.catchUp()
      await restore(top)
      // The folder itself and four below it: the position is top/1.
      await client.read(5)
    })

    test('skips nothing if the current folder moves ahead', async () => {
      await rename(await at('top/1'), '3a')
      await client.catchUp(2)
      await client.expectTree()
    })

    test('continues if the folder itself is moved', async () => {
      await rename(top, 'bottom')
      await client.read(3)
      await move(await at('bottom/4'), await at('bottom/0'))
      await client.catchUp(2)
      await client.expectTree()
    })

    test('stops if the folder is deleted again', async () => {
      await move(await at('top/4'), await at(''))
      await trashEntries(holdall, top)
      await client.catchUp(2)
      await client.expectTree()
    })
  })

  test('ends with the current tree after any operations and requests', async () => {
    await uploadFile(holdall, { workspaceId, name: 'seed', bytes: 'seed' })
    const asks = fc.record({
      first: fc.integer({ min: 1, max: 6 }),
      batches: fc.integer({ min: 1, max: 8 }),
    })
    const plays = fc.array(
      fc.oneof({ arbitrary: treeOperations, weight: 3 }, { arbitrary: asks, weight: 1 }),
      {
        minLength: 20,
        maxLength: 50,
        size: 'max',
      },
    )
    await fc.assert(
      fc.asyncProperty(plays, async (steps) => {
        const { id } = await createWorkspace(holdall)
        const client = openClient(holdall, id)
        await act(
          holdall,
          'createFolder',
          { workspaceId: id, name: 'a/b/c/d', createParents: true },
          '__typename',
        )
        await uploadFile(holdall, { workspaceId: id, path: 'a/b', name: 'seed', bytes: 'seed' })
        for (const step of steps) {
          if ('what' in step) await performOperation(holdall, id, step as TreeOperation)
          else for (let i = 0; i < step.batches; i++) await client.read(step.first)
        }
        await client.catchUp(7)
        await client.expectTree()
      }),
      { numRuns: 25 },
    )
  }, 60_000)
})

/** Stores its cursor as it was given, and nothing else but the tree. */
function openClient(holdall: TestServer, workspaceId: string) {
  const mirror = new Mirror()
  let since: string | undefined
  async function read(first: number): Promise<boolean> {
    const batch = await changesOf(holdall, workspaceId, { since, first })
    mirror.apply(toMirrorChanges(batch.changes))
    since = batch.cursor
    return batch.hasMore
  }
  return {
    mirror,
    read,
    async catchUp(first = 100) {
      while (await read(first));
    },
    async expectTree() {
      expect(mirror.tree).toEqual(await treeOf(holdall.app.db, workspaceId))
    },
  }
}
