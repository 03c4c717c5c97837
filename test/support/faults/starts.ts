import assert from 'node:assert/strict'
import * as fs from 'node:fs/promises'
import { tmpdir } from 'node:os'
import * as path from 'node:path'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import { openDatabase } from '../../../src/database/database.ts'
import { createWorkspace } from '../client.ts'
import { Ended, type Faulty, openFaulty } from './faulty.ts'
import { type Fault, isKill } from './kinds.ts'
import { count, type Figures } from './walk.ts'

const MOST = 200
const migrationFolder = path.resolve(import.meta.dirname, '../../../migrations')

/** A folder as an older version left it, whose last migration is the one that begins with `upTo`. */
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

/** Strikes one step after the other of a first start over nothing, or over what is in `from`; the next start goes on from what is there. */
export async function walkStart(
  fault: Fault,
  figures: Figures,
  { from, until = Number.POSITIVE_INFINITY }: { from?: string; until?: number } = {},
) {
  const name = from ? 'migration' : 'first start'
  for (let at = 1; at <= MOST && Date.now() < until; at++) {
    await using faulty = await openFaulty({ isEmpty: true, ...(from && { from }) })
    try {
      if (!(await strikeStart(faulty, fault, at))) return
      await faulty.start()
      await createWorkspace(faulty.holdall)
      assert.deepEqual(await faulty.findings({ deep: true, graceMs: -1e12 }), [])
    } catch (cause) {
      throw new Error(`${fault} at step ${at} of a ${name}: ${cause}`, { cause })
    }
    count(figures, name, fault, 1)
  }
}

/** Whether there was a step to strike; afterwards it is down. */
async function strikeStart(faulty: Faulty, fault: Fault, at: number): Promise<boolean> {
  const ended = await faulty.start({ fault, at }).then(
    () => null,
    (error: unknown) => error,
  )
  if (ended && !(ended instanceof Ended)) throw ended
  const tally = await faulty.arm(null)
  await faulty.kill()
  if (tally === null) assert.ok(ended || isKill(fault), 'it ended where nothing was struck')
  return tally === null || tally.struck.length > 0
}
