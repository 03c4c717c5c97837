import type { Document, Phrases } from '../../database/search/search-index.ts'
import type { EntryRow } from '../entries/reads.ts'
import type { TagRow } from '../tags/reads.ts'
import { textsIn } from './match.ts'
import { keyOf, kindKey } from './query.ts'
import { wordsOf } from './rules.ts'

type Described = 'id' | 'workspaceId' | 'kind' | 'parentId' | 'name' | 'description' | 'metadata'

/**
 * What search knows of an entry: its own words, and by key the folder that holds it and the tags that it carries, whose words
 * may change without it.
 */
export const entryDocument = (
  { id, workspaceId, kind, parentId, ...says }: Pick<EntryRow, Described>,
  tags: readonly TagRow[],
): Document => ({
  id,
  workspaceId,
  name: phrasesOf(says.name),
  description: phrasesOf(says.description ?? ''),
  folder: kind === 'folder' ? phrasesOf(says.name) : [],
  metadata: textsIn(JSON.parse(says.metadata)).flatMap(phrasesOf),
  keys: [kindKey(kind, workspaceId), keyOf(parentId ?? ''), ...tags.map((tag) => keyOf(tag.id))],
})

/** What search knows of a tag: the words of its name. */
export const tagDocument = ({ id, workspaceId, name }: TagRow): Document => ({
  id,
  workspaceId,
  tag: phrasesOf(name),
  keys: [],
})

const phrasesOf = (text: string): Phrases =>
  wordsOf(text).map((words) => words.map((word) => word.text))
