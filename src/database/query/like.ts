import { sql } from 'kysely'

/** `column LIKE '%part%'`, with whatever LIKE would read into `part` taken literally. Both are folded: case is left to them. */
export const contains = (column: string, part: string) =>
  sql<boolean>`${sql.ref(column)} LIKE ${`%${literal(part)}%`} ESCAPE '\\'`

/** `column LIKE 'start%'`, literally too, without regard to case in ASCII, as LIKE is in SQLite and is not in PostgreSQL. */
export const startsWith = (column: string, start: string) =>
  sql<boolean>`lower(${sql.ref(column)}) LIKE ${`${literal(lower(start))}%`} ESCAPE '\\'`

const literal = (text: string) => text.replace(/[\\%_]/g, '\\$&')
/** As the databases do it in columns that compare by their bytes. */
const lower = (text: string) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
