import fc from 'fast-check'
import { expect, test } from 'vitest'
import { highlightsOf } from '../../../src/domains/search/highlights.ts'
import type { Texts } from '../../../src/domains/search/match.ts'
import { parseQuery } from '../../../src/domains/search/query.ts'
import { wordsOf } from '../../../src/domains/search/rules.ts'

/**
 * Marks of several classes, unpaired surrogates, separators, letters whose case changes, and characters that
 * decompose into marks.
 */
const unit = fc.constantFrom(
  ...'\u0301\u0323\u0344\u0e31\u0903\uff9e\ud800\udc00\u200d_-. /aB9テ\ufb03',
)
const pattern = fc.string({ unit, minLength: 1, maxLength: 6 })

/** Repeats the text up to the given number of bytes. */
const filled = (text: string, bytes: number) =>
  text.repeat(Math.ceil(bytes / Buffer.byteLength(text)))

/** CPU time of this thread in the fastest of three runs, because the machine is shared. */
function costOf(work: () => unknown): number {
  const runs = [1, 2, 3].map(() => {
    const before = process.threadCpuUsage()
    work()
    return process.threadCpuUsage(before).user
  })
  return Math.min(...runs)
}

/**
 * Ten times the text takes ten times as long; the rest is noise. A quadratic step would take a hundred times
 * as long.
 */
const MOST = 60

/** The minimum that is assumed for runs too short to measure. */
const LEAST_US = 4000

test.each([
  ['cutting a text into words', (text: string) => wordsOf(text)],
  ['highlighting a phrase in it', (text: string) => highlight('"a b a b a b a c"', text)],
  ['highlighting many words in it', (text: string) => highlight('a b ab 9 a9 b9 テ', text)],
])('%s takes time in proportion to its length: 1, 10 and 100 KB', (_, work) => {
  fc.assert(
    fc.property(pattern, (text) => {
      const [small, middle, large] = [1_000, 10_000, 100_000].map((bytes) => {
        const whole = filled(text, bytes)
        return Math.max(
          costOf(() => work(whole)),
          LEAST_US,
        )
      })
      expect(middle).toBeLessThan(MOST * (small ?? 0))
      expect(large).toBeLessThan(MOST * (middle ?? 0))
    }),
    { numRuns: 25 },
  )
})

const none: Texts = { name: [], tags: [], description: [], metadata: [], path: [] }
const highlight = (query: string, text: string) =>
  highlightsOf(parseQuery(query), { ...none, description: [text] })

test('processes a run of marks as fast as letters, and not as part of a word', () => {
  const marks = `a${'\u0301\u0323'.repeat(25_000)}b`
  expect(wordsOf(marks).map((words) => words.map(({ text }) => text))).toEqual([['ab']])
  const letters = 'ab'.repeat(25_000)
  expect(costOf(() => wordsOf(marks))).toBeLessThan(
    MOST *
      Math.max(
        costOf(() => wordsOf(letters)),
        LEAST_US,
      ),
  )
})

test('finds a phrase of many equal words among many equal words in one pass', () => {
  const query = parseQuery(`"${'a '.repeat(400)}b"`)
  const cost = (words: number) =>
    costOf(() => highlightsOf(query, { ...none, description: ['a '.repeat(words)] }))
  expect(cost(40_000)).toBeLessThan(MOST * Math.max(cost(4_000), LEAST_US))
})
