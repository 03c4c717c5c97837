import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { highlightsOf } from '../../../src/domains/search/highlights.ts'
import { findRanges, rankOf, type Texts, textsIn } from '../../../src/domains/search/match.ts'
import { parseQuery } from '../../../src/domains/search/query.ts'
import { wordsOf } from '../../../src/domains/search/rules.ts'
import { InvalidInput } from '../../../src/errors/input.ts'

const cut = (text: string) => wordsOf(text).map((words) => words.map((word) => word.text).join(' '))
const anything = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: fc.constantFrom(...'aB9 _-."/éßİ語テ📊\u0301'), maxLength: 40 }),
)
const none: Texts = { name: [], tags: [], description: [], metadata: [], path: [] }
const named = (name: string): Texts => ({ ...none, name: [name] })

describe('words', () => {
  test.each([
    ['plateScan_2025-01.csv', ['platescan 2025 01 csv', 'plate scan 2025 01 csv']],
    ['XMLFile', ['xmlfile', 'xml file']],
    ['IMG20250131', ['img 20250131']],
    ['Straße ÜBER İstanbul', ['strasse uber istanbul']],
    ['e\u0301te\u0301 = été', ['ete ete']],
    ['Łódź Ørsted æther', ['lodz orsted aether']],
    ['実験データ', ['実 験 テ ー タ']],
    ['ｆｕｌｌ x² ½', ['full x 2 12']],
    ['👩‍🔬 📊', ['👩 🔬 📊']],
    ['--- \0 \ud800 …', []],
  ])('of %s', (text, words) => {
    expect(cut(text)).toEqual(words)
  })

  test('have the offsets that they report', () => {
    fc.assert(
      fc.property(anything, (text) => {
        for (const words of wordsOf(text)) {
          let last = 0
          for (const { start, end, text: word } of words) {
            expect(start).toBeGreaterThanOrEqual(last)
            expect(end).toBeGreaterThan(start)
            expect(cut(text.slice(start, end)).join(' ')).toContain(word)
            last = end
          }
        }
      }),
    )
  })

  test('S18: contain no search syntax of a database, and are not split further', () => {
    fc.assert(
      fc.property(anything, (text) => {
        for (const word of wordsOf(text).flat()) {
          expect(word.text).toMatch(/^[^\0-\x2f\x3a-\x60\x7b-\x7f]+$/)
          expect(word.text.isWellFormed()).toBe(true)
          expect(cut(word.text)).toEqual([word.text])
        }
      }),
    )
  })

  test('are equal in any case and normalization form', () => {
    const text = fc.string({ unit: fc.constantFrom(...'aBcéÉßΣςЖ 9_'), maxLength: 20 })
    fc.assert(
      fc.property(text, (text) => {
        const [whole] = cut(text)
        expect(cut(text.toLowerCase())[0]).toBe(whole)
        expect(cut(text.normalize('NFD'))[0]).toBe(whole)
      }),
    )
  })
})

describe('a query', () => {
  test('consists of words, "phrases" and -exclusions; its last word may be a prefix', () => {
    const { terms, excluded } = parseQuery('Plate "raw data" -old -"very old" a/b sc')
    const ways = (of: typeof terms) => of.map((term) => term.ways.map((words) => words.join(' ')))
    expect(ways(terms)).toEqual([['plate'], ['raw data'], ['a'], ['b'], ['sc']])
    expect(terms.map(({ prefix }) => prefix)).toEqual([false, false, false, false, true])
    expect(ways(excluded)).toEqual([['old'], ['very old']])
  })

  test.each([
    ['plate-1', [['plate 1']]],
    ['“typographic quotes”', [['typographic quotes']]],
    ['"never closed', [['never closed']]],
    ['NEAR(a) AND * OR ^', [['near a'], ['and'], ['or']]],
    ['name:plate {tags}', [['name plate'], ['tags']]],
    ['- -- "" "-" * \\', []],
  ])('has no other syntax: %s', (text, terms) => {
    expect(parseQuery(text).terms.map(({ ways }) => ways.map((words) => words.join(' ')))).toEqual(
      terms,
    )
  })

  test('is parsed whatever it is, or rejected for its length', () => {
    fc.assert(
      fc.property(fc.oneof(anything, fc.string({ maxLength: 1200 })), (text) => {
        try {
          parseQuery(text)
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInput)
        }
      }),
    )
    expect(() => parseQuery('x'.repeat(1001))).toThrow('query has 1001 characters (limit 1000)')
    expect(() => parseQuery('x '.repeat(33))).toThrow('query has 33 words and phrases (limit 32)')
  })
})

describe('a rank', () => {
  test('finds every text by itself and by a prefix of its last word', () => {
    fc.assert(
      fc.property(anything, (text) => {
        const query = parseQuery(text.replaceAll(/["/\s“”„‟«»＂]|^-+/g, '').slice(0, 60))
        fc.pre(query.terms.length > 0)
        expect(rankOf(query, named(text.replaceAll(/["/\s“”„‟«»＂]|^-+/g, '')))).not.toBe(null)
      }),
    )
  })

  const texts: Texts = {
    name: ['plateScan_01.csv'],
    tags: ['high priority'],
    description: ['Fluorescence, second run'],
    metadata: textsIn({ maker: { name: 'Tecan' }, wells: [96, null, true] }),
    path: ['Data', 'Raw files'],
  }
  test.each([
    ['plate', 0],
    ['csv plate', 0],
    ['plateS', 1],
    ['plate scan 01 c', 1],
    ['plate priority', 2],
    ['priority', 3],
    ['plate run priority', 4],
    ['fluorescence', 5],
    ['plate 96', 6],
    ['tecan maker true', 7],
    ['plate data', 8],
    ['raw data', 9],
    ['"raw files"', 9],
    ['"data raw"', null],
    ['"priority high"', null],
    ['plate -tecan', null],
    ['plate -dat', 0],
    ['plate -data', null],
    ['-nothing', 0],
    ['null', null],
  ])('of %s', (query, rank) => {
    expect(rankOf(parseQuery(query), texts)).toBe(rank)
  })
})

test('returns a highlight with marks around the matches, escaped as HTML', () => {
  const letters = fc.string({ unit: fc.constantFrom(...'ab<>&" é'), maxLength: 400 })
  fc.assert(
    fc.property(letters, (text) => {
      for (const { text: html } of highlightsOf(parseQuery('a "b" ab'), {
        ...none,
        description: [text],
      })) {
        const plain = html.replaceAll(/<\/?mark>/g, '')
        expect(plain).not.toMatch(/[<>"]/)
        const read = plain.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"')
        expect(text).toContain(read.replaceAll('&amp;', '&').replaceAll('…', ''))
        expect(html).toMatch(/<mark>[^<]+<\/mark>/)
      }
    }),
  )
  expect(
    findRanges(wordsOf('a Plate, a plateScan'), parseQuery('plate').terms[0] as never),
  ).toContainEqual({
    start: 2,
    end: 7,
  })
})
