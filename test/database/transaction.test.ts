import { expect, onTestFinished, test } from 'vitest'
import type { Db } from '../../src/database/database.ts'
import { afterCommit, lockWorkspace, type Tx, transact } from '../../src/database/transaction.ts'
import { database, openRows } from '../support/databases.ts'

/** The same rows opened twice, so that the second sees only what is committed; with SQLite one process writes. */
async function openTwo() {
  const { dbs, ...rows } = await openRows(2)
  onTestFinished(() => rows[Symbol.asyncDispose]())
  const [db, other] = dbs as [Db, Db]
  return { db, other, writers: database === 'SQLite' ? [db] : [db, other] }
}

const add = (db: Db | Tx, name: string) =>
  db.insertInto('settings').values({ name, value: 'x' }).execute()

const names = async (db: Db | Tx) => {
  const rows = await db.selectFrom('settings').select('name').orderBy('name').execute()
  return rows.map(({ name }) => name)
}

test('a transaction answers with what its story answers, and its rows are there', async () => {
  const { db, other } = await openTwo()
  const answer = await transact(db, async (tx) => {
    await add(tx, 'a')
    expect(await names(other)).toEqual([])
    return 42
  })
  expect(answer).toBe(42)
  expect(await names(other)).toEqual(['a'])
})

test('what is left for after the commit sees the committed rows, in the order given', async () => {
  const { db, other } = await openTwo()
  const seen: unknown[] = []
  await transact(db, async (tx) => {
    afterCommit(tx, async () => seen.push('first', await names(other)))
    await add(tx, 'a')
    afterCommit(tx, () => seen.push('second'))
    expect(seen).toEqual([])
  })
  expect(seen).toEqual(['first', ['a'], 'second'])
})

test('a story that throws leaves no row and forgets what was to come after', async () => {
  const { db, other } = await openTwo()
  const seen: string[] = []
  const story = transact(db, async (tx) => {
    await add(tx, 'a')
    afterCommit(tx, () => seen.push('never'))
    throw new RangeError('no')
  })
  await expect(story).rejects.toThrow(RangeError)
  expect(await names(other)).toEqual([])
  await transact(db, (tx) => add(tx, 'b'))
  expect(seen).toEqual([])
  expect(await names(other)).toEqual(['b'])
})

test('a row that the database refuses takes the whole story back', async () => {
  const { db } = await openTwo()
  await add(db, 'a')
  const story = transact(db, async (tx) => {
    await add(tx, 'b')
    await add(tx, 'a')
  })
  await expect(story).rejects.toThrow(/unique/i)
  expect(await names(db)).toEqual(['a'])
})

/** A workspace of which nothing is asked but that it can be held. */
async function addWorkspace(db: Db, id: string) {
  const figures = { usedBytes: 0, reservedBytes: 0, trashedBytes: 0, storedBytes: 0, lastSeq: 0 }
  await db
    .insertInto('workspaces')
    .values({
      id,
      ...figures,
      name: id,
      slug: id,
      description: null,
      visibility: 'PRIVATE',
      quotaBytes: null,
      trashRetentionDays: 0,
      autoFile: 0,
      rootId: id,
      createdAt: 0,
    })
    .execute()
}

test('stories that hold the same workspace come one after the other, wherever they are told', async () => {
  const { db, writers } = await openTwo()
  await addWorkspace(db, 'one')
  await add(db, '0')
  const grow = async (tx: Tx) => {
    const { value } = await tx.selectFrom('settings').select('value').executeTakeFirstOrThrow()
    lockWorkspace(tx, 'one')
    await new Promise(setImmediate)
    await tx
      .updateTable('settings')
      .set({ value: `${value}x` })
      .execute()
  }
  const stories = Array.from({ length: 10 }, () => writers.map((writer) => transact(writer, grow)))
  await Promise.all(stories.flat())
  const { value } = await db.selectFrom('settings').select('value').executeTakeFirstOrThrow()
  expect(value).toBe('x'.repeat(1 + 10 * writers.length))
})

test('stories that hold two workspaces, each in another order, all come to an end', async () => {
  const { db, writers } = await openTwo()
  const ids = ['one', 'two', 'three']
  for (const id of ids) await addWorkspace(db, id)
  const story = (order: string[]) => async (tx: Tx) => {
    for (const id of order) {
      lockWorkspace(tx, id)
      await tx
        .updateTable('workspaces')
        .set((eb) => ({ lastSeq: eb('lastSeq', '+', 1) }))
        .where('id', '=', id)
        .execute()
    }
  }
  const orders = [ids, ids.toReversed(), ['two', 'one']]
  const stories = Array.from({ length: 5 }, () =>
    writers.flatMap((writer) => orders.map((order) => transact(writer, story(order)))),
  )
  await Promise.all(stories.flat())
  const rows = await db.selectFrom('workspaces').select('lastSeq').orderBy('id').execute()
  expect(rows.map(({ lastSeq }) => lastSeq)).toEqual(
    [15, 10, 15].map((times) => times * writers.length),
  )
})

test.runIf(database === 'PostgreSQL')(
  'a story that was in the way of another is told again, and what it had promised is forgotten',
  async () => {
    const { db, other } = await openTwo()
    const seen: string[] = []
    let tellings = 0
    await transact(db, async (tx) => {
      tellings += 1
      const mine = `telling ${tellings}`
      afterCommit(tx, () => seen.push(mine))
      const there = await names(tx)
      // Somebody else is quicker, after this one has looked.
      if (!there.includes('a')) await transact(other, (quick) => add(quick, 'a'))
      await add(tx, there.includes('a') ? 'b' : 'a')
    })
    expect([seen, await names(other)]).toEqual([['telling 2'], ['a', 'b']])
  },
)

test.runIf(database === 'PostgreSQL')(
  'two stories that wait for each other are told one after the other',
  async () => {
    const { db, other } = await openTwo()
    await add(db, 'a')
    await add(db, 'b')
    const write = (tx: Tx, name: string, value: string) =>
      tx.updateTable('settings').set({ value }).where('name', '=', name).execute()
    const story = (first: string, second: string) => async (tx: Tx) => {
      await write(tx, first, first)
      await new Promise((resolve) => setTimeout(resolve, 100))
      await write(tx, second, first)
    }
    await Promise.all([transact(db, story('a', 'b')), transact(other, story('b', 'a'))])
    const rows = await db.selectFrom('settings').select('value').execute()
    expect(new Set(rows.map(({ value }) => value)).size).toBe(1)
  },
)

test('what fails after the commit is told, and the rows stay', async () => {
  const { db, other } = await openTwo()
  const story = transact(db, async (tx) => {
    await add(tx, 'a')
    afterCommit(tx, () => Promise.reject(new Error('too late')))
  })
  await expect(story).rejects.toThrow('too late')
  expect(await names(other)).toEqual(['a'])
})

test('an act after the commit may open a transaction of its own', async () => {
  const { db, other } = await openTwo()
  await transact(db, async (tx) => {
    await add(tx, 'a')
    afterCommit(tx, () => transact(db, (next) => add(next, 'b')))
  })
  expect(await names(other)).toEqual(['a', 'b'])
})
