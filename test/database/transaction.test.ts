import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Db, openDatabase } from '../../src/database/database.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import { afterCommit, type Tx, transact } from '../../src/database/transaction.ts'

/** Two connections to one file, so that the second sees only what is committed. */
async function openTwo() {
  const dir = await mkdtemp(join(tmpdir(), 'rows-'))
  const open = () => openDatabase({ kind: 'sqlite', path: join(dir, 'rows.db') })
  const [db, other] = [open(), open()]
  await migrateToLatest(db)
  onTestFinished(async () => {
    await Promise.all([db.destroy(), other.destroy()])
    await rm(dir, { recursive: true })
  })
  return { db, other }
}

const add = (db: Db | Tx, name: string) =>
  db.insertInto('settings').values({ name, value: 'x' }).execute()

const names = async (db: Db) => {
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
  await expect(story).rejects.toThrow(/UNIQUE/)
  expect(await names(db)).toEqual(['a'])
})

test('stories that begin at the same moment come one after the other', async () => {
  const { db } = await openTwo()
  await add(db, '0')
  const grow = transact.bind(null, db, async (tx: Tx) => {
    const { value } = await tx.selectFrom('settings').select('value').executeTakeFirstOrThrow()
    await new Promise(setImmediate)
    await tx
      .updateTable('settings')
      .set({ value: `${value}x` })
      .execute()
  })
  await Promise.all(Array.from({ length: 20 }, grow))
  const { value } = await db.selectFrom('settings').select('value').executeTakeFirstOrThrow()
  expect(value).toBe('x'.repeat(21))
})

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
