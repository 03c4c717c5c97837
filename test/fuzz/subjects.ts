import { archives } from './archives.ts'
import { downloads } from './downloads.ts'
import { forms } from './forms.ts'
import { documents } from './graphql.ts'
import { pages } from './lists.ts'
import { metadata } from './metadata.ts'
import { entryNames } from './names.ts'
import { requests } from './requests.ts'
import type { Subject } from './runs.ts'
import { searches } from './searches.ts'
import { signedLinks } from './signed-links.ts'
import { transfers } from './transfers.ts'

/** All subjects of fuzzing. */
export const subjects: Subject[] = [
  metadata,
  transfers,
  downloads,
  entryNames,
  pages,
  searches,
  signedLinks,
  archives,
  forms,
  requests,
  documents,
]
