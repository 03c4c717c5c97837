import { confirmOperations } from './operations/confirms.ts'
import { creationOperations } from './operations/creations.ts'
import { folderOperations } from './operations/folders.ts'
import { moveOperations } from './operations/moves.ts'
import type { Operation } from './operations/operation.ts'
import { restoringOperations } from './operations/restoring.ts'
import { sendingOperations } from './operations/sending.ts'
import { shareOperations } from './operations/shares.ts'
import { tableOperations } from './operations/tables.ts'
import { taggingOperations } from './operations/tags.ts'
import { trashOperations } from './operations/trash.ts'
import { versionOperations } from './operations/versions.ts'
import { quotaOperations } from './state/quotas.ts'

/** All operations of a random walk. */
export const operations: Operation[] = [
  ...folderOperations,
  ...moveOperations,
  ...trashOperations,
  ...restoringOperations,
  ...taggingOperations,
  ...versionOperations,
  ...creationOperations,
  ...sendingOperations,
  ...confirmOperations,
  ...shareOperations,
  ...tableOperations,
  ...quotaOperations,
]
