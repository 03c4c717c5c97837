import { expect, onTestFinished, test } from 'vitest'
import type { Db } from '../../src/database/database.ts'
import {
  afterCommit,
  assertLocked,
  lockLate,
  type Tx,
  transact,
} from '../../src/database/transaction.ts'
import { database, openRows } from '../support/databases.ts'

/**
 * Opens the same rows twice, so that the second connection sees only committed rows; with SQLite one process
 * writes.
 */
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

test('returns the result of the callback and commits its rows', async () => {
  const { db, other } = await openTwo()
  const answer = await transact(db, async (tx) => {
    await add(tx, 'a')
    expect(await names(other)).toEqual([])
    return 42
  })
  expect(answer).toBe(42)
  expect(await names(other)).toEqual(['a'])
})

test('runs commit callbacks in order, after the rows are committed', async () => {
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

test('rolls back a callback that throws, and skips its commit callbacks', async () => {
  const { db, other } = await openTwo()
  const seen: string[] = []
  const work = transact(db, async (tx) => {
    await add(tx, 'a')
    afterCommit(tx, () => seen.push('never'))
    throw new RangeError('no')
  })
  await expect(work).rejects.toThrow(RangeError)
  expect(await names(other)).toEqual([])
  await transact(db, (tx) => add(tx, 'b'))
  expect(seen).toEqual([])
  expect(await names(other)).toEqual(['b'])
})

test('rolls back the whole transaction if the database rejects a row', async () => {
  const { db } = await openTwo()
  await add(db, 'a')
  const work = transact(db, async (tx) => {
    await add(tx, 'b')
    await add(tx, 'a')
  })
  await expect(work).rejects.toThrow(/unique/i)
  expect(await names(db)).toEqual(['a'])
})

/** A workspace that is used only for its lock. */
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

test('serialises transactions that lock the same workspace, across connections', async () => {
  const { db, writers } = await openTwo()
  await addWorkspace(db, 'one')
  await add(db, '0')
  const grow = async (tx: Tx) => {
    const { value } = await tx.selectFrom('settings').select('value').executeTakeFirstOrThrow()
    assertLocked(tx, 'one')
    await new Promise(setImmediate)
    await tx
      .updateTable('settings')
      .set({ value: `${value}x` })
      .execute()
  }
  const transactions = Array.from({ length: 10 }, () =>
    writers.map((writer) => transact(writer, grow, ['one'])),
  )
  await Promise.all(transactions.flat())
  const { value } = await db.selectFrom('settings').select('value').executeTakeFirstOrThrow()
  expect(value).toBe('x'.repeat(1 + 10 * writers.length))
})

test('completes transactions that lock two workspaces in different orders', async () => {
  const { db, writers } = await openTwo()
  const ids = ['one', 'two', 'three']
  for (const id of ids) await addWorkspace(db, id)
  const work = (order: string[]) => async (tx: Tx) => {
    for (const id of order) {
      assertLocked(tx, id)
      await tx
        .updateTable('workspaces')
        .set((eb) => ({ lastSeq: eb('lastSeq', '+', 1) }))
        .where('id', '=', id)
        .execute()
    }
  }
  const orders = [ids, ids.toReversed(), ['two', 'one']]
  const transactions = Array.from({ length: 5 }, () =>
    writers.flatMap((writer) => orders.map((order) => transact(writer, work(order), order))),
  )
  await Promise.all(transactions.flat())
  const rows = await db.selectFrom('workspaces').select('lastSeq').orderBy('id').execute()
  expect(rows.map(({ lastSeq }) => lastSeq)).toEqual(
    [15, 10, 15].map((times) => times * writers.length),
  )
})

test('refuses to change a workspace that the transaction has not locked', async () => {
  const { db } = await openTwo()
  const work = (tx: Tx) => Promise.resolve(assertLocked(tx, 'two'))
  await expect(transact(db, work, ['one'])).rejects.toThrow('has not locked two')
})

test.runIf(database === 'PostgreSQL')(
  'locks a workspace late, until the transaction ends',
  async () => {
    const { db, other } = await openTwo()
    await addWorkspace(db, 'one')
    const seen: string[] = []
    const late = Promise.withResolvers<void>()
    const first = transact(db, async (tx) => {
      await lockLate(tx, ['one'])
      assertLocked(tx, 'one')
      late.resolve()
      await new Promise((resolve) => setTimeout(resolve, 100))
      seen.push('first')
    })
    await late.promise
    const second = transact(other, async () => void seen.push('second'), ['one'])
    await Promise.all([first, second])
    expect(seen).toEqual(['first', 'second'])
  },
)

test.runIf(database === 'PostgreSQL')(
  'retries a transaction after a conflict, and drops its earlier commit callbacks',
  async () => {
    const { db, other } = await openTwo()
    const seen: string[] = []
    let tellings = 0
    await transact(db, async (tx) => {
      tellings += 1
      const mine = `telling ${tellings}`
      afterCommit(tx, () => seen.push(mine))
      const there = await names(tx)
      // Another writer commits after this one has read.
      if (!there.includes('a')) await transact(other, (quick) => add(quick, 'a'))
      await add(tx, there.includes('a') ? 'b' : 'a')
    })
    expect([seen, await names(other)]).toEqual([['telling 2'], ['a', 'b']])
  },
)

test.runIf(database === 'PostgreSQL')('completes two transactions that deadlock', async () => {
  const { db, other } = await openTwo()
  await add(db, 'a')
  await add(db, 'b')
  const write = (tx: Tx, name: string, value: string) =>
    tx.updateTable('settings').set({ value }).where('name', '=', name).execute()
  const work = (first: string, second: string) => async (tx: Tx) => {
    await write(tx, first, first)
    await new Promise((resolve) => setTimeout(resolve, 100))
    await write(tx, second, first)
  }
  await Promise.all([transact(db, work('a', 'b')), transact(other, work('b', 'a'))])
  const rows = await db.selectFrom('settings').select('value').execute()
  expect(new Set(rows.map(({ value }) => value)).size).toBe(1)
})

test('rejects if a commit callback fails, and keeps the rows', async () => {
  const { db, other } = await openTwo()
  const work = transact(db, async (tx) => {
    await add(tx, 'a')
    afterCommit(tx, () => Promise.reject(new Error('too late')))
  })
  await expect(work).rejects.toThrow('too late')
  expect(await names(other)).toEqual(['a'])
})

test('lets a commit callback open a transaction', async () => {
  const { db, other } = await openTwo()
  await transact(db, async (tx) => {
    await add(tx, 'a')
    afterCommit(tx, () => transact(db, (next) => add(next, 'b')))
  })
  expect(await names(other)).toEqual(['a', 'b'])
})
