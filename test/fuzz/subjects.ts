import { pages } from './inputs/lists.ts'
import { metadata } from './inputs/metadata.ts'
import { entryNames } from './inputs/names.ts'
import { requests } from './requests.ts'
import type { Subject } from './runs.ts'
import { archives } from './targets/archives.ts'
import { downloads } from './targets/downloads.ts'
import { forms } from './targets/forms.ts'
import { documents } from './targets/graphql.ts'
import { searches } from './targets/searches.ts'
import { signedLinks } from './targets/signed-links.ts'
import { transfers } from './targets/transfers.ts'

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
