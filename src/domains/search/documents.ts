import type { Document, Phrases } from '../../database/search/search-index.ts'
import type { EntryRow } from '../entries/reads.ts'
import type { TagRow } from '../tags/reads.ts'
import { textsIn } from './match.ts'
import { keyOf, kindKey } from './query.ts'
import { wordsOf } from './rules.ts'

type IndexedColumn = 'id' | 'workspaceId' | 'kind' | 'name' | 'description' | 'metadata'

/**
 * Returns the search document of an entry: its own words, and keys for its parent folder and its tags. These
 * have their own documents, because their words may change without a change of the entry.
 */
export const entryDocument = (
  {
    id,
    workspaceId,
    kind,
    parentId,
    ...texts
  }: Pick<EntryRow, IndexedColumn> & { parentId: string },
  tags: readonly TagRow[],
): Document => ({
  id,
  workspaceId,
  name: phrasesOf(texts.name),
  description: phrasesOf(texts.description ?? ''),
  folder: kind === 'folder' ? phrasesOf(texts.name) : [],
  metadata: textsIn(JSON.parse(texts.metadata)).flatMap(phrasesOf),
  keys: [kindKey(kind, workspaceId), keyOf(parentId), ...tags.map((tag) => keyOf(tag.id))],
})

/** Returns the search document of a tag: the words of its name. */
export const tagDocument = ({ id, workspaceId, name }: TagRow): Document => ({
  id,
  workspaceId,
  tag: phrasesOf(name),
  keys: [],
})

const phrasesOf = (text: string): Phrases =>
  wordsOf(text).map((words) => words.map((word) => word.text))
