import { type Document, type Expression, marked, sequencesOf } from '../search/document.ts'

/*
 * Documents and what is asked of them, in the syntax of tsvector and tsquery. Words and keys have no ASCII in them but letters,
 * digits and _, so that quotes are all they need.
 */

/** What a tsvector holds: places up to 16,383, 256 of one word, and 2^20 bytes; all less some. */
const limits = { place: 16_000, places: 255, bytes: 1_000_000 }

/** Next to no other place. Without any, a word would keep phrases from being found that end in its beginning. */
const NOWHERE = 16_383

type Places = Map<string, number[]>

/**
 * The document. Between sequences a place is left empty, so that no phrase reaches from one into the next. Where a tsvector has no
 * place for words that follow each other, a pair of them stands in.
 */
export function vectorOf(document: Document): string {
  const places: Places = new Map(document.keys.map((key) => [short(key), []]))
  const pairs: string[] = []
  let next = 1
  for (const words of sequencesOf(document)) {
    const isPlaced = placeWords(places, words, next)
    next += words.length > 1 ? words.length + 1 : 0
    for (const [i, word] of words.slice(1).entries())
      if (!(isPlaced[i] && isPlaced[i + 1])) pairs.push(paired(words[i] ?? '', word))
  }
  for (const pair of pairs.length > 0 ? [PAIRS, ...pairs] : []) places.set(pair, [])
  return written(places)
}

/** Gives words places that follow each other; tells which of them got theirs. One alone needs none. */
function placeWords(places: Places, words: string[], first: number): boolean[] {
  return words.map((word, i) => {
    const known = places.get(word) ?? []
    places.set(word, known)
    const place = first + i
    const isPlaced = words.length > 1 && place <= limits.place && known.length < limits.places
    if (isPlaced) known.push(place)
    return isPlaced
  })
}

/** Documents with pairs have this word. */
const PAIRS = '_'
const paired = (one: string, next: string) => `${one} ${next}`

/** Of what no tsvector can hold the rest is left out. */
function written(places: Places): string {
  let bytes = 0
  const words: string[] = []
  for (const [word, at] of places) {
    bytes += Buffer.byteLength(word) + 6 + 2 * at.length
    if (bytes > limits.bytes) break
    words.push(`'${word}':${at.join(',') || NOWHERE}`)
  }
  return words.join(' ')
}

/** The expression; null for what nothing can be like. */
export function queryOf(workspaceId: string, expression: Expression): string | null {
  const part = (inner: Expression) => queryOf(workspaceId, inner)
  if ('keys' in expression) return either(expression.keys.map((key) => `'${short(key)}'`))
  if ('words' in expression) {
    const { fields, words, prefix } = expression
    return either(fields.map((field) => phrase(marked(workspaceId, field, words), prefix)))
  }
  if ('from' in expression) {
    const [from, without] = [part(expression.from), part(expression.without)]
    return from && without ? `(${from}) & !(${without})` : from
  }
  if ('any' in expression) return either(expression.any.map(part).filter((text) => text !== null))
  const parts = expression.all.map(part)
  return parts.includes(null) ? null : parts.map((text) => `(${text})`).join(' & ') || null
}

/** The words in places that follow each other; in a document with pairs, each two of them may be a pair instead. */
function phrase(words: string[], prefix: boolean): string {
  const open = (i: number) => (prefix && i === words.length - 1 ? ':*' : '')
  const whole = words.map((word, i) => `'${word}'${open(i)}`)
  if (words.length === 1) return whole.join()
  const pairs = words.slice(1).map((word, i) => {
    const [one = '', next = ''] = whole.slice(i, i + 2)
    return `(${one} <-> ${next} | '${paired(words[i] ?? '', word)}'${open(i + 1)})`
  })
  return `(${whole.join(' <-> ')}) | ('${PAIRS}' & ${pairs.join(' & ')})`
}

const either = (parts: string[]) => parts.map((text) => `(${text})`).join(' | ') || null

/** Of an id's 32 digits the last 16 are random. */
const short = (key: string) => key.slice(0, -32) + key.slice(-16)
