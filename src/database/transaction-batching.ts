import type { Db } from './database.ts'
import { isUnavailable } from './errors.ts'
import { type Tx, transact } from './transaction.ts'

type Story<T> = (tx: Tx) => Promise<T>
type Waiting = {
  story: Story<unknown>
  resolve: (told: unknown) => void
  reject: (error: unknown) => void
}

/** Those who wait, by what they have in common. Whoever is first has an empty line behind it. */
const lines = new WeakMap<Db, Map<string, Waiting[]>>()

/** While a transaction goes on its process does little else. */
const MOST = 16

/**
 * As `transact`, for what is short and often asked for by many at the same moment: those who give the same key have their turns in the order
 * in which they came, and those who come while one transaction ends share the next, for a commit of many costs hardly more than that of
 * one. Each is all or nothing: where one of them fails, each is told by itself. What is left for after the commit must not wait for a turn
 * of the same key.
 */
export function transactShared<T>(db: Db, key: string, story: Story<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const waiting = { story, resolve: resolve as Waiting['resolve'], reject }
  const line = linesOf(db).get(key)
  if (line) line.push(waiting)
  else void tellAll(db, key, [waiting])
  return promise
}

function linesOf(db: Db) {
  const known = lines.get(db) ?? new Map<string, Waiting[]>()
  lines.set(db, known)
  return known
}

async function tellAll(db: Db, key: string, line: Waiting[]) {
  linesOf(db).set(key, line)
  while (line.length > 0) {
    const some = line.splice(0, MOST)
    await tellSome(db, some).catch((error) => {
      // The database cannot be asked now: nobody waits to be told the same.
      for (const { reject } of [...some, ...line.splice(0)]) reject(error)
    })
  }
  linesOf(db).delete(key)
}

/** Throws what is nobody's own. */
async function tellSome(db: Db, some: Waiting[]) {
  if (some.length > 1 && (await toldTogether(db, some))) return
  for (const { story, resolve, reject } of some) {
    await transact(db, story).then(resolve, (error) => reject(unlessOfAll(error)))
  }
}

/** False where one of them failed: then nothing was done. */
async function toldTogether(db: Db, some: Waiting[]): Promise<boolean> {
  let isTold = false
  try {
    const answers = await transact(db, async (tx) => {
      isTold = false
      const answers: unknown[] = []
      for (const { story } of some) answers.push(await story(tx))
      isTold = true
      return answers
    })
    for (const [i, { resolve }] of some.entries()) resolve(answers[i])
  } catch (error) {
    unlessOfAll(error)
    if (isTold) for (const { reject } of some) reject(error)
  }
  return isTold
}

function unlessOfAll(error: unknown) {
  if (isUnavailable(error)) throw error
  return error
}
