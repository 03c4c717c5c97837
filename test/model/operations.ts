import { confirmOperations } from './confirms.ts'
import { creationOperations } from './creations.ts'
import { folderOperations } from './folders.ts'
import { moveOperations } from './moves.ts'
import type { Operation } from './operation.ts'
import { quotaOperations } from './quotas.ts'
import { restoringOperations } from './restoring.ts'
import { sendingOperations } from './sending.ts'
import { shareOperations } from './shares.ts'
import { tableOperations } from './tables.ts'
import { taggingOperations } from './tags.ts'
import { trashOperations } from './trash.ts'
import { versionOperations } from './versions.ts'

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
