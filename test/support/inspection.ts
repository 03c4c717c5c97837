import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { isPostgres } from '../../src/database/database.ts'
import type { Tx } from '../../src/database/transaction.ts'
import { inspect, type Options, type ReportedFinding } from '../../src/fsck/inspect.ts'
import { root } from './project-root.ts'
import type { TestServer } from './servers/test-server.ts'

/** Returns the findings of `npm run fsck`. */
export const findings = (
  holdall: TestServer,
  options: Partial<Options> = {},
): Promise<ReportedFinding[]> =>
  Array.fromAsync(inspect(holdall.app.config, { pauseMs: 20, ...options }))

/** Runs `npm run fsck -- …` for the data of a server. Returns its exit code and its output lines. */
export async function runFsck(holdall: TestServer, ...args: string[]) {
  const { databaseUrl } = holdall
  const env = { DATA_DIR: holdall.dir, ...(databaseUrl && { DATABASE_URL: databaseUrl }) }
  const child = spawn(process.execPath, ['src/fsck.ts', ...args], { cwd: root, env })
  let [output, stderr] = ['', '']
  child.stdout.on('data', (text) => {
    output += text
  })
  child.stderr.on('data', (text) => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  return { code, lines: output.split('\n').filter((line) => line !== ''), stderr }
}

/** Writes rows that the server never writes, with the checks of the database disabled. */
export async function corruptRows(holdall: TestServer, act: (tx: Tx) => Promise<unknown>) {
  const { db } = holdall.app
  if (!isPostgres(db)) await sql`PRAGMA foreign_keys = OFF`.execute(db)
  await db.transaction().execute(async (tx) => {
    if (isPostgres(tx)) await sql`SET LOCAL session_replication_role = replica`.execute(tx)
    await act(tx)
  })
  if (!isPostgres(db)) await sql`PRAGMA foreign_keys = ON`.execute(db)
}

/** Returns the path of a blob, staged or committed. */
export function bytesAt(holdall: TestServer, key: string): string {
  const [found] = globSync(`blobs/**/${key}`, { cwd: holdall.dir })
  if (!found) throw new Error(`blob ${key} was not found`)
  return join(holdall.dir, found)
}

/** Flips one bit in the middle of a file. */
export async function flipBit(path: string) {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const middle = Math.floor(size / 2)
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, middle)
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, middle)
  await file.sync()
}

/** Returns the blob key of a version. */
export async function blobOf(holdall: TestServer, { version }: { version: { id: string } }) {
  const { blobId } = await holdall.app.db
    .selectFrom('versions')
    .select('blobId')
    .where('id', '=', version.id)
    .executeTakeFirstOrThrow()
  return blobId
}
