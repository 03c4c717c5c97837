import { sql } from 'kysely'

/** `column LIKE '%part%'`, with whatever LIKE would read into `part` taken literally. */
export const contains = (column: string, part: string) =>
  sql<boolean>`${sql.ref(column)} LIKE ${`%${literal(part)}%`} ESCAPE '\\'`

/** `column LIKE 'start%'`, literally too. */
export const startsWith = (column: string, start: string) =>
  sql<boolean>`${sql.ref(column)} LIKE ${`${literal(start)}%`} ESCAPE '\\'`

const literal = (text: string) => text.replace(/[\\%_]/g, '\\$&')
