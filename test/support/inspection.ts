import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { isPostgres } from '../../src/database/database.ts'
import type { Tx } from '../../src/database/transaction.ts'
import { inspect, type Options, type ReportedFinding } from '../../src/fsck/inspect.ts'
import type { TestServer } from './test-server.ts'

/** What `npm run fsck` finds. */
export const findings = (
  holdall: TestServer,
  options: Partial<Options> = {},
): Promise<ReportedFinding[]> =>
  Array.fromAsync(inspect(holdall.app.config, { pauseMs: 20, ...options }))

/** `npm run fsck -- …` beside the house: its exit code, and the lines that it said. */
export async function runFsck(holdall: TestServer, ...args: string[]) {
  const root = join(import.meta.dirname, '../..')
  const { databaseUrl } = holdall
  const env = { DATA_DIR: holdall.dir, ...(databaseUrl && { DATABASE_URL: databaseUrl }) }
  const child = spawn(process.execPath, ['src/fsck.ts', ...args], { cwd: root, env })
  let [said, complained] = ['', '']
  child.stdout.on('data', (text) => {
    said += text
  })
  child.stderr.on('data', (text) => {
    complained += text
  })
  const [code] = await once(child, 'close')
  return { code, lines: said.split('\n').filter((line) => line !== ''), complained }
}

/** Rows as no house writes them: what the database itself refuses is done all the same. */
export async function vandalise(holdall: TestServer, act: (tx: Tx) => Promise<unknown>) {
  const { db } = holdall.app
  if (!isPostgres(db)) await sql`PRAGMA foreign_keys = OFF`.execute(db)
  await db.transaction().execute(async (tx) => {
    if (isPostgres(tx)) await sql`SET LOCAL session_replication_role = replica`.execute(tx)
    await act(tx)
  })
  if (!isPostgres(db)) await sql`PRAGMA foreign_keys = ON`.execute(db)
}

/** Where the bytes of a key are, staged or kept. */
export function bytesAt(holdall: TestServer, key: string): string {
  const [found] = globSync(`blobs/**/${key}`, { cwd: holdall.dir })
  if (!found) throw new Error(`${key} is nowhere`)
  return join(holdall.dir, found)
}

/** Changes one bit of a file, in its middle. */
export async function flipBit(path: string) {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const middle = Math.floor(size / 2)
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, middle)
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, middle)
  await file.sync()
}

/** The key of the bytes of a version. */
export async function blobOf(holdall: TestServer, { version }: { version: { id: string } }) {
  const { blobId } = await holdall.app.db
    .selectFrom('versions')
    .select('blobId')
    .where('id', '=', version.id)
    .executeTakeFirstOrThrow()
  return blobId
}
