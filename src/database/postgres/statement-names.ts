import { hash } from 'node:crypto'

const names = new Map<string, string>()

/**
 * Gives an SQL text a name, so that each connection to PostgreSQL parses and plans it once. The name is a
 * hash of the text: a name means the same statement on every connection behind a pooler.
 */
export function nameStatement(sql: string): void {
  if (!names.has(sql)) names.set(sql, `holdall_${hash('sha256', sql).slice(0, 32)}`)
}

/** Returns the name of an SQL text, or undefined if it has none. */
export const nameOfStatement = (sql: string): string | undefined => names.get(sql)
