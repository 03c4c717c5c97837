import { placesIn, type SearchField, searchFields, type Texts } from './match.ts'
import type { Query } from './query.ts'
import { wordsOf } from './rules.ts'

/** A text that has words of the query, as HTML: what was found stands in <mark>. */
export type Highlight = { field: SearchField; text: string }
type Range = { start: number; end: number }

/** So many characters of a long text are shown, from a little before what was found. */
const EXCERPT = 200
const LEAD = 60
export const MAX_HIGHLIGHTS = 10

/** Where in an entry the words of a query were found, best fields first; no more are looked for once `isTerminal`. */
export function highlightsOf(query: Query, texts: Texts, isOver = () => false): Highlight[] {
  const found: Highlight[] = []
  for (const field of searchFields)
    for (const text of shown(field, texts)) {
      if (isOver() || found.length >= MAX_HIGHLIGHTS) return found
      found.push(...highlight(query, field, text))
    }
  return found
}

/** A path is shown whole; the words of its names are found in it, too. */
const shown = (field: SearchField, texts: Texts): readonly string[] =>
  field === 'path' && texts.path.length > 0 ? [texts.path.join('/')] : texts[field]

function highlight({ terms }: Query, field: SearchField, text: string): Highlight[] {
  const said = wordsOf(text)
  const ranges = merged(terms.flatMap((term) => placesIn(said, term)))
  const [first] = ranges
  return first ? [{ field, text: excerpt(text, ranges, first) }] : []
}

function merged(ranges: Range[]): Range[] {
  const apart: Range[] = []
  for (const { start, end } of ranges.sort((a, b) => a.start - b.start)) {
    const last = apart.at(-1)
    if (last && start <= last.end) last.end = Math.max(last.end, end)
    else apart.push({ start, end })
  }
  return apart
}

function excerpt(text: string, ranges: Range[], first: Range): string {
  const from = text.length <= EXCERPT ? 0 : Math.max(0, first.start - LEAD)
  const to = Math.max(from + EXCERPT, first.end)
  let [html, at] = ['', from]
  for (const { start, end } of ranges.filter((range) => range.end <= to)) {
    html += `${escaped(text.slice(at, start))}<mark>${escaped(text.slice(start, end))}</mark>`
    at = end
  }
  const rest = escaped(text.slice(at, to))
  return `${from > 0 ? '…' : ''}${html}${rest}${to < text.length ? '…' : ''}`
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escaped = (text: string) =>
  text.toWellFormed().replace(/[&<>"]/g, (character) => entities[character] ?? character)
