import { type Document, type Expression, marked, sequencesOf } from './search-document.ts'

/*
 * Documents and what is asked of them, in the syntax of tsvector and tsquery. Words and keys have no ASCII in them but letters,
 * digits and _, so that quotes are all they need.
 */

/** What a tsvector holds: the highest place, so many places of one word (256 less one), so many bytes (2^20 less some). */
const limits = { place: 16_383, places: 255, bytes: 1_000_000 }

/**
 * The document. Words that could be in a phrase have places, with one left empty between sequences, so that no phrase reaches
 * from one into the next. Where there are more than a tsvector has places for, pairs of words stand in for them.
 */
export function vectorOf(document: Document): string {
  const places = new Map<string, number[]>(document.keys.map((key) => [short(key), []]))
  let place = 0
  for (const words of sequencesOf(document)) {
    let isPlaced = true
    for (const [i, word] of words.entries()) {
      const known = places.get(word) ?? []
      places.set(word, known)
      if (words.length === 1) break
      place += 1
      const before = isPlaced
      isPlaced = place <= limits.place && known.length < limits.places
      if (isPlaced) known.push(place)
      if (i > 0 && !(before && isPlaced)) places.set(paired(words[i - 1] ?? '', word), [])
      if (!isPlaced) places.set(isLong, [])
    }
    place += 1
  }
  return written(places)
}

/** Documents with pairs have this word. */
const isLong = 'long'
const paired = (one: string, next: string) => `${one} ${next}`

/** Of what no vector can hold the rest is left out. */
function written(places: Map<string, number[]>): string {
  let bytes = 0
  const words: string[] = []
  for (const [word, at] of places) {
    bytes += Buffer.byteLength(word) + 4 + 2 * at.length
    if (bytes > limits.bytes) break
    words.push(at.length > 0 ? `'${word}':${at.join(',')}` : `'${word}'`)
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

/** The words in places that follow each other; in long documents each two of them may be a pair instead. */
function phrase(words: string[], prefix: boolean): string {
  const open = (i: number) => (prefix && i === words.length - 1 ? ':*' : '')
  const whole = words.map((word, i) => `'${word}'${open(i)}`)
  if (words.length === 1) return whole.join()
  const pairs = words.slice(1).map((word, i) => {
    const [one = '', next = ''] = whole.slice(i, i + 2)
    return `(${one} <-> ${next} | '${paired(words[i] ?? '', word)}'${open(i + 1)})`
  })
  return `(${whole.join(' <-> ')}) | ('${isLong}' & ${pairs.join(' & ')})`
}

const either = (parts: string[]) => parts.map((text) => `(${text})`).join(' | ') || null

/** Of an id's 32 digits the last 16 are random. */
const short = (key: string) => key.slice(0, -32) + key.slice(-16)
