import { expect, onTestFinished, test } from 'vitest'
import type { Db } from '../../src/database/database.ts'
import { NoConnection } from '../../src/database/errors.ts'
import { afterCommit, type Tx } from '../../src/database/transaction.ts'
import { transactShared } from '../../src/database/transaction-batching.ts'
import { openRows } from '../support/databases.ts'

async function open() {
  const { dbs, ...rows } = await openRows(2)
  onTestFinished(() => rows[Symbol.asyncDispose]())
  const [db, other] = dbs as [Db, Db]
  const notes = new Map<Tx, string[]>()
  /** Adds a row, and notes with whom it was told. */
  const add = (name: string) => async (tx: Tx) => {
    notes.set(tx, [...(notes.get(tx) ?? []), name])
    await tx.insertInto('settings').values({ name, value: 'x' }).execute()
    return name
  }
  const told = () => [...notes.values()]
  const share = (name: string, key = 'one') => transactShared(db, key, add(name))
  return { db, other, told, add, share }
}

async function names(db: Db) {
  const rows = await db.selectFrom('settings').select('name').orderBy('name').execute()
  return rows.map(({ name }) => name)
}

test('those who come while one goes on share the next, in their order, and each has its own answer', async () => {
  const { other, told, share } = await open()
  expect(await Promise.all(['a', 'c', 'b'].map((name) => share(name)))).toEqual(['a', 'c', 'b'])
  expect(told()).toEqual([['a'], ['c', 'b']])
  expect(await names(other)).toEqual(['a', 'b', 'c'])
  await share('d')
  expect(told().at(-1)).toEqual(['d'])
})

test('the rows of whoever is told are there for others', async () => {
  const { other, share } = await open()
  const areThere = ['a', 'b', 'c'].map(async (name) => {
    await share(name)
    return (await names(other)).includes(name)
  })
  expect(await Promise.all(areThere)).toEqual([true, true, true])
})

test('where one fails, it alone does; what the others promised comes once, and what it promised never', async () => {
  const { db, other, add, share } = await open()
  const acts: string[] = []
  const promising = (name: string) => async (tx: Tx) => {
    afterCommit(tx, () => acts.push(name))
    return add(name)(tx)
  }
  const failing = async (tx: Tx) => {
    await promising('never')(tx)
    throw new RangeError('no')
  }
  const first = share('first')
  const others = [promising('a'), failing, promising('b')]
  const shared = others.map((story) => transactShared(db, 'one', story))
  const outcomes = await Promise.allSettled([first, ...shared])
  expect(outcomes.map(({ status }) => status)).toEqual([
    ...['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
  ])
  expect(outcomes[2]).toMatchObject({ reason: new RangeError('no') })
  expect(await names(other)).toEqual(['a', 'b', 'first'])
  expect(acts).toEqual(['a', 'b'])
})

test('what another key asks for is not shared with; more than some are told in more than one', async () => {
  const { told, share } = await open()
  const many = Array.from({ length: 20 }, (_, i) => share(`${i}`))
  const others = Array.from({ length: 2 }, (_, i) => share(`other ${i}`, 'two'))
  await Promise.all([...many, ...others])
  const isOther = (name: string) => name.startsWith('other')
  for (const together of told()) expect(new Set(together.map(isOther)).size).toBe(1)
  expect(
    told()
      .map(({ length }) => length)
      .sort((a, b) => b - a),
  ).toEqual([16, 3, 1, 1, 1])
})

test('where the database cannot be asked, nobody who waits is told, and all hear of it', async () => {
  const { db, other, told, share } = await open()
  const fault = new NoConnection(new Error('too many'))
  const first = transactShared(db, 'one', () => Promise.reject(fault))
  const outcomes = await Promise.allSettled([first, ...['a', 'b'].map((name) => share(name))])
  expect(outcomes.map((outcome) => 'reason' in outcome && outcome.reason)).toEqual([
    ...[fault, fault, fault],
  ])
  expect([told(), await names(other)]).toEqual([[], []])
  expect(await share('c')).toBe('c')
})
