import { expect, onTestFinished, test } from 'vitest'
import type { Db } from '../../src/database/database.ts'
import { NoConnection } from '../../src/database/errors.ts'
import { afterCommit, type Tx } from '../../src/database/transaction.ts'
import { transactBatched } from '../../src/database/transaction-batching.ts'
import { openRows } from '../support/databases.ts'

async function open() {
  const { dbs, ...rows } = await openRows(2)
  onTestFinished(() => rows[Symbol.asyncDispose]())
  const [db, other] = dbs as [Db, Db]
  const notes = new Map<Tx, string[]>()
  /** Adds a row and records which callbacks share its transaction. */
  const add = (name: string) => async (tx: Tx) => {
    notes.set(tx, [...(notes.get(tx) ?? []), name])
    await tx.insertInto('settings').values({ name, value: 'x' }).execute()
    return name
  }
  const groups = () => [...notes.values()]
  const share = (name: string, key = 'one') => transactBatched(db, key, add(name))
  return { db, other, groups, add, share }
}

async function names(db: Db) {
  const rows = await db.selectFrom('settings').select('name').orderBy('name').execute()
  return rows.map(({ name }) => name)
}

test('batches callers that arrive during a transaction into the next one, in order, each with its own result', async () => {
  const { other, groups, share } = await open()
  expect(await Promise.all(['a', 'c', 'b'].map((name) => share(name)))).toEqual(['a', 'c', 'b'])
  expect(groups()).toEqual([['a'], ['c', 'b']])
  expect(await names(other)).toEqual(['a', 'b', 'c'])
  await share('d')
  expect(groups().at(-1)).toEqual(['d'])
})

test('makes the rows of a caller visible before its promise resolves', async () => {
  const { other, share } = await open()
  const areVisible = ['a', 'b', 'c'].map(async (name) => {
    await share(name)
    return (await names(other)).includes(name)
  })
  expect(await Promise.all(areVisible)).toEqual([true, true, true])
})

test('rejects only the failing caller; runs the commit callbacks of the others once, and its own never', async () => {
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
  const shared = others.map((work) => transactBatched(db, 'one', work))
  const outcomes = await Promise.allSettled([first, ...shared])
  expect(outcomes.map(({ status }) => status)).toEqual([
    ...['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
  ])
  expect(outcomes[2]).toMatchObject({ reason: new RangeError('no') })
  expect(await names(other)).toEqual(['a', 'b', 'first'])
  expect(acts).toEqual(['a', 'b'])
})

test('does not batch different keys, and splits large batches', async () => {
  const { groups, share } = await open()
  const many = Array.from({ length: 20 }, (_, i) => share(`${i}`))
  const others = Array.from({ length: 2 }, (_, i) => share(`other ${i}`, 'two'))
  await Promise.all([...many, ...others])
  const isOther = (name: string) => name.startsWith('other')
  for (const together of groups()) expect(new Set(together.map(isOther)).size).toBe(1)
  expect(
    groups()
      .map(({ length }) => length)
      .sort((a, b) => b - a),
  ).toEqual([16, 3, 1, 1, 1])
})

test('rejects all waiting callers without running them if the database is unreachable', async () => {
  const { db, other, groups, share } = await open()
  const fault = new NoConnection(new Error('too many'))
  const first = transactBatched(db, 'one', () => Promise.reject(fault))
  const outcomes = await Promise.allSettled([first, ...['a', 'b'].map((name) => share(name))])
  expect(outcomes.map((outcome) => 'reason' in outcome && outcome.reason)).toEqual([
    ...[fault, fault, fault],
  ])
  expect([groups(), await names(other)]).toEqual([[], []])
  expect(await share('c')).toBe('c')
})
