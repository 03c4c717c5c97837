import { type Document, type Expression, marked, sequencesOf } from '../search/document.ts'

/*
 * Converts documents and search expressions to the syntax of tsvector and tsquery. The only ASCII characters
 * in words and keys are letters, digits and _, so that quotes suffice.
 */

/** Slightly below the limits of a tsvector: position 16,383, 256 positions of one word, and 2^20 bytes. */
const limits = { position: 16_000, positions: 255, bytes: 1_000_000 }

/**
 * A position that is adjacent to no other. A word without a position would hide phrases that end in a prefix
 * of it.
 */
const UNPLACED_POSITION = 16_383

type Positions = Map<string, number[]>

/**
 * Returns the document as a tsvector. One position between two sequences stays empty, so that no phrase spans
 * both. Adjacent words without a position in the tsvector are stored as a pair instead.
 */
export function vectorOf(document: Document): string {
  const positions: Positions = new Map(document.keys.map((key) => [shortKey(key), []]))
  const pairs: string[] = []
  let next = 1
  for (const words of sequencesOf(document)) {
    const isPlaced = placeWords(positions, words, next)
    next += words.length > 1 ? words.length + 1 : 0
    for (const [i, pair] of pairsOf(words).entries())
      if (!(isPlaced[i] && isPlaced[i + 1])) pairs.push(pair)
  }
  for (const pair of pairs.length > 0 ? [PAIRS, ...pairs] : []) positions.set(pair, [])
  return toVector(positions)
}

/** Assigns consecutive positions to words; returns which words got one. A single word needs none. */
function placeWords(positions: Positions, words: string[], first: number): boolean[] {
  return words.map((word, i) => {
    const ofWord = positions.get(word) ?? []
    positions.set(word, ofWord)
    const position = first + i
    const isPlaced =
      words.length > 1 && position <= limits.position && ofWord.length < limits.positions
    if (isPlaced) ofWord.push(position)
    return isPlaced
  })
}

/** Marker word of documents that contain pairs. */
const PAIRS = '_'
/** Returns each two adjacent words as a pair. */
const pairsOf = (words: string[]) => words.slice(1).map((next, i) => `${words[i]} ${next}`)

/** Formats the tsvector. Words beyond its maximum size are omitted. */
function toVector(positions: Positions): string {
  let bytes = 0
  const words: string[] = []
  for (const [word, ofWord] of positions) {
    bytes += Buffer.byteLength(word) + 6 + 2 * ofWord.length
    if (bytes > limits.bytes) break
    words.push(`'${word}':${ofWord.join(',') || UNPLACED_POSITION}`)
  }
  return words.join(' ')
}

/** Returns the expression as a tsquery, or null if no document can match it. */
export function queryOf(workspaceId: string, expression: Expression): string | null {
  const part = (inner: Expression) => queryOf(workspaceId, inner)
  if ('keys' in expression) return either(expression.keys.map((key) => `'${shortKey(key)}'`))
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

/**
 * Matches words in consecutive positions; in a document with pairs, two adjacent words may be a pair instead.
 */
function phrase(words: string[], prefix: boolean): string {
  const open = (i: number) => (prefix && i === words.length - 1 ? ':*' : '')
  const whole = words.map((word, i) => `'${word}'${open(i)}`)
  if (words.length === 1) return whole.join()
  const pairs = pairsOf(words).map(
    (pair, i) => `(${whole[i]} <-> ${whole[i + 1]} | '${pair}'${open(i + 1)})`,
  )
  return `(${whole.join(' <-> ')}) | ('${PAIRS}' & ${pairs.join(' & ')})`
}

const either = (parts: string[]) => parts.map((text) => `(${text})`).join(' | ') || null

/** Shortens a key to its type and the last 16 of its 32 digits, which are random. */
const shortKey = (key: string) => key.slice(0, -32) + key.slice(-16)
