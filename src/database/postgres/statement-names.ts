import { hash } from 'node:crypto'

const names = new Map<string, string>()

/**
 * Gives a text that is said over and over a name, by which a connection to PostgreSQL has it parsed and planned already. It is made
 * of the text: what a pooler between mixes up is the same statement all the same.
 */
export function nameStatement(sql: string): void {
  if (!names.has(sql)) names.set(sql, `holdall_${hash('sha256', sql).slice(0, 32)}`)
}

/** The name of a text; undefined where it has none. */
export const nameOfStatement = (sql: string): string | undefined => names.get(sql)
