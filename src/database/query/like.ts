import { sql } from 'kysely'

/**
 * Matches `column LIKE '%part%'`, with wildcards in `part` escaped. Both sides must be case-folded already.
 */
export const contains = (column: string, part: string) =>
  sql<boolean>`${sql.ref(column)} LIKE ${`%${escapeWildcards(part)}%`} ESCAPE '\\'`

/** Matches `column LIKE 'start%'`, with wildcards escaped and ASCII letters compared case-insensitively. */
export const startsWith = (column: string, start: string) =>
  sql<boolean>`lower(${sql.ref(column)}) LIKE ${`${escapeWildcards(lowerAscii(start))}%`} ESCAPE '\\'`

const escapeWildcards = (text: string) => text.replace(/[\\%_]/g, '\\$&')
/** Lower-cases ASCII letters only, as lower() of both databases does for columns that compare by bytes. */
const lowerAscii = (text: string) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
