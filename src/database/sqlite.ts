import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import SqliteFile from 'better-sqlite3'
import { SqliteDialect } from 'kysely'

/** One file, one connection. WAL with synchronous=FULL: what was committed survives a loss of power. */
export function sqliteDialect(path: string): SqliteDialect {
  mkdirSync(dirname(path), { recursive: true })
  const database = new SqliteFile(path)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  database.pragma('foreign_keys = ON')
  database.pragma('busy_timeout = 5000')
  database.pragma('cache_size = -65536')
  database.pragma('mmap_size = 1073741824')
  return new SqliteDialect({ database })
}
