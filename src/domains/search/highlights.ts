import { findRanges, type SearchField, searchFields, type Texts } from './match.ts'
import type { Query } from './query.ts'
import { wordsOf } from './rules.ts'

/** A text that contains words of the query, as HTML with the matches in <mark> elements. */
export type Highlight = { field: SearchField; text: string }
type Range = { start: number; end: number }

/** Length of the excerpt of a long text, and of the part of it before the first match. */
const EXCERPT_LENGTH = 200
const LEAD_LENGTH = 60
export const MAX_HIGHLIGHTS = 10

/**
 * Returns up to MAX_HIGHLIGHTS highlights of an entry, best fields first. Stops early once `isOver` returns
 * true.
 */
export function highlightsOf(query: Query, texts: Texts, isOver = () => false): Highlight[] {
  const found: Highlight[] = []
  for (const field of searchFields)
    for (const text of displayTexts(field, texts)) {
      if (isOver() || found.length >= MAX_HIGHLIGHTS) return found
      found.push(...highlight(query, field, text))
    }
  return found
}

/** Returns the texts to highlight. A path is displayed as one text. */
const displayTexts = (field: SearchField, texts: Texts): readonly string[] =>
  field === 'path' && texts.path.length > 0 ? [texts.path.join('/')] : texts[field]

function highlight({ terms }: Query, field: SearchField, text: string): Highlight[] {
  const words = wordsOf(text)
  const ranges = mergeRanges(terms.flatMap((term) => findRanges(words, term)))
  const [first] = ranges
  return first ? [{ field, text: excerpt(text, ranges, first) }] : []
}

function mergeRanges(ranges: Range[]): Range[] {
  const merged: Range[] = []
  for (const { start, end } of ranges.sort((a, b) => a.start - b.start)) {
    const last = merged.at(-1)
    if (last && start <= last.end) last.end = Math.max(last.end, end)
    else merged.push({ start, end })
  }
  return merged
}

function excerpt(text: string, ranges: Range[], first: Range): string {
  const from = text.length <= EXCERPT_LENGTH ? 0 : Math.max(0, first.start - LEAD_LENGTH)
  const to = Math.max(from + EXCERPT_LENGTH, first.end)
  let [html, at] = ['', from]
  for (const { start, end } of ranges.filter((range) => range.end <= to)) {
    html += `${escapeHtml(text.slice(at, start))}<mark>${escapeHtml(text.slice(start, end))}</mark>`
    at = end
  }
  const rest = escapeHtml(text.slice(at, to))
  return `${from > 0 ? '…' : ''}${html}${rest}${to < text.length ? '…' : ''}`
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const escapeHtml = (text: string) =>
  text.toWellFormed().replace(/[&<>"]/g, (character) => entities[character] ?? character)
