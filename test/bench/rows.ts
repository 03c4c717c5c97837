import { bigFolders } from './rows/big-folders.ts'
import { downloads } from './rows/downloads.ts'
import { farPages } from './rows/far-pages.ts'
import { finding } from './rows/finding.ts'
import { manyUploads } from './rows/many-uploads.ts'
import { memory } from './rows/memory.ts'
import { oneUpload, oneUploadBesideBare } from './rows/one-upload.ts'
import { nestedPages, pages } from './rows/pages.ts'
import { pagesOnPostgres } from './rows/pages-postgres.ts'
import { smallFiles } from './rows/small-files.ts'
import { starting } from './rows/starting.ts'
import { toS3 } from './rows/to-s3.ts'
import type { Row } from './table.ts'

/** All rows of the table, in order. */
export const rows: Row[] = [
  oneUpload,
  oneUploadBesideBare,
  manyUploads,
  smallFiles,
  downloads,
  pages,
  nestedPages,
  farPages,
  finding,
  bigFolders,
  memory,
  starting,
  pagesOnPostgres,
  toS3,
]
