import { type RawBuilder, sql } from 'kysely'

/**
 * Inserts `count` files (at most 999,999) into one folder, as rows without bytes: file-000001.txt, …
 */
export const manyFiles = (
  { workspaceId, folderId }: { workspaceId: string; folderId: string },
  count: number,
): RawBuilder<unknown> => sql`
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
  INSERT INTO "entries" ("id", "workspaceId", "kind", "parentId", "name", "nameKey", "size", "createdAt", "updatedAt")
  SELECT 'file_' || substr(${'0'.repeat(32)}, length('' || i) + 1) || i, ${workspaceId}, 'file', ${folderId},
    'file-' || substr('000000', length('' || i) + 1) || i || '.txt',
    'file-' || substr('000000', length('' || i) + 1) || i || '.txt', i % 7, 0, 0
  FROM n`
