import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { withDeadline } from '../../src/concurrency/deadline.ts'
import { createKeyedMutex } from '../../src/concurrency/keyed-mutex.ts'
import { keepLease } from '../../src/concurrency/lease.ts'

const never = new Promise<never>(() => {})

test('a deadline yields the result or the error of work that is in time, and the other value if not', async () => {
  expect(await withDeadline(Promise.resolve('done'), 60_000, 'late')).toBe('done')
  await expect(withDeadline(Promise.reject(new Error('no')), 60_000, 'late')).rejects.toThrow('no')
  expect(await withDeadline(never, 1, 'late')).toBe('late')
  expect(await withDeadline(never, AbortSignal.abort(), 'late')).toBe('late')
  const signal = new AbortController()
  const waiting = withDeadline(never, signal.signal, 'late')
  signal.abort()
  expect(await waiting).toBe('late')
})

test('a keyed mutex runs calls of one key in order, and calls of other keys at once', async () => {
  const mutex = createKeyedMutex()
  const events: string[] = []
  const call = (key: string, name: string, fails = false) =>
    mutex.run(key, async () => {
      events.push(`${name} begins`)
      await sleep(1)
      events.push(`${name} ends`)
      if (fails) throw new Error(name)
    })
  const [one, two, three] = [call('a', 'one', true), call('a', 'two'), call('b', 'three')]
  await expect(one).rejects.toThrow('one')
  await Promise.all([two, three])
  expect(events.filter((event) => !event.startsWith('three'))).toEqual([
    'one begins',
    'one ends',
    'two begins',
    'two ends',
  ])
  expect(events.indexOf('three begins')).toBeLessThan(events.indexOf('one ends'))
})

test('a call that does not get the key in time leaves the queue in order', async () => {
  const mutex = createKeyedMutex()
  const release = await mutex.acquire('a')
  expect(await mutex.acquire('a', 1)).toBeNull()
  let hasTurn = false
  const next = mutex.run('a', async () => {
    hasTurn = true
  })
  await sleep(5)
  expect(hasTurn).toBe(false)
  release?.()
  await next
  expect(hasTurn).toBe(true)
})

test('a lease is renewed until it is disposed, also after a renewal has failed', async () => {
  const renew = vi.fn(async () => {
    throw new Error('the database does not respond')
  })
  const lease = keepLease(1, renew)
  await expect.poll(() => renew.mock.calls.length).toBeGreaterThan(2)
  lease[Symbol.dispose]()
  const { length } = renew.mock.calls
  await sleep(10)
  expect(renew.mock.calls).toHaveLength(length)
})
