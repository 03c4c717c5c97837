import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import * as path from 'node:path'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import { openDatabase } from '../../../src/database/database.ts'
import { createWorkspace } from '../client.ts'
import { type Faulty, openFaulty, ServerExited } from './faulty.ts'
import { type Fault, isKill } from './kinds/kinds.ts'
import { count, type FaultCounts } from './walk.ts'

const MAX_STEPS = 200
const migrationFolder = path.resolve(import.meta.dirname, '../../../migrations')

/** Returns a folder of an older version, whose last migration begins with `upTo`. */
export async function olderFolder(upTo: string): Promise<{ dir: string } & AsyncDisposable> {
  const dir = await fs.mkdtemp(path.join(tmpdir(), 'holdall-older-'))
  const db = openDatabase({ kind: 'sqlite', path: path.join(dir, 'holdall.db') })
  const provider = new FileMigrationProvider({ fs, path, migrationFolder })
  const [name = ''] = Object.keys(await provider.getMigrations()).filter((known) =>
    known.startsWith(upTo),
  )
  const { error } = await new Migrator({ db, provider }).migrateTo(name)
  await db.destroy()
  if (error) throw error
  return { dir, [Symbol.asyncDispose]: () => fs.rm(dir, { recursive: true }) }
}

/**
 * Strikes each step of a first start with an empty folder or a copy of `from`; the next start must recover.
 */
export async function injectIntoStart(
  fault: Fault,
  counts: FaultCounts,
  { from, until = Number.POSITIVE_INFINITY }: { from?: string; until?: number } = {},
) {
  const name = from ? 'migration' : 'first start'
  for (let at = 1; at <= MAX_STEPS && Date.now() < until; at++) {
    await using faulty = await openFaulty({ isEmpty: true, ...(from && { from }) })
    try {
      if (!(await strikeStart(faulty, fault, at))) return
      await faulty.start()
      await createWorkspace(faulty.holdall)
      assert.deepEqual(await faulty.findings({ deep: true, graceMs: -1e12 }), [])
    } catch (cause) {
      throw new Error(`${fault} at step ${at} of a ${name}: ${cause}`, { cause })
    }
    count(counts, name, fault, 1)
  }
}

/** Returns whether there was a step to strike. The server is down afterwards. */
async function strikeStart(faulty: Faulty, fault: Fault, at: number): Promise<boolean> {
  const ended = await faulty.start({ fault, at }).then(
    () => null,
    (error: unknown) => error,
  )
  if (ended && !(ended instanceof ServerExited)) throw ended
  const tally = await faulty.arm(null)
  await faulty.kill()
  if (tally === null)
    assert.ok(ended || isKill(fault), 'the server exited although no fault was injected')
  return tally === null || tally.struck.length > 0
}
