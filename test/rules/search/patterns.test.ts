import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { globPattern, regexPattern } from '../../../src/domains/entries/patterns/patterns.ts'
import { InvalidInput } from '../../../src/errors/input.ts'
import { foldName } from '../../../src/names.ts'
import { timingRetries } from '../../support/timed.ts'

const at = (path: string) => ({ path, pathKey: path.split('/').map(foldName).join('/') })
const segment = fc.string({
  unit: fc.constantFrom(...'aAbß.J\u030ce\u0301İ*'),
  minLength: 1,
  maxLength: 4,
})
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'))

/** The meaning of a glob without braces, by exhaustive search. */
function means(glob: string, path: string): boolean {
  if (glob === '') return path === ''
  if (glob.startsWith('**/')) {
    const rest = glob.slice(3)
    const slash = path.indexOf('/')
    return means(rest, path) || (slash > 0 && means(glob, path.slice(slash + 1)))
  }
  if (glob === '**') return true
  const [first, rest] = [glob[0], glob.slice(1)]
  if (first === '*')
    return means(rest, path) || (path !== '' && path[0] !== '/' && means(glob, path.slice(1)))
  if (path === '') return false
  if (first === '?') return path[0] !== '/' && means(rest, path.slice(1))
  return path[0] === first && means(rest, path.slice(1))
}

describe('a glob', () => {
  test('matches what its definition says', () => {
    const part = fc.array(fc.constantFrom('a', 'b', '*', '?', 'ab'), { minLength: 1, maxLength: 3 })
    const name = fc.oneof(
      fc.constant('**'),
      part.map((parts) => parts.join('').replaceAll(/\*+/g, '*')),
    )
    const glob = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'))
    const paths = fc.array(
      fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 3 }),
      {
        minLength: 1,
        maxLength: 4,
      },
    )
    fc.assert(
      fc.property(glob, paths, (glob, names) => {
        const path = names.join('/')
        expect(globPattern(glob).matches(at(path))).toBe(means(glob, path))
      }),
      { numRuns: 2000 },
    )
  })

  test('with braces matches what one of its alternatives does', () => {
    const ways = fc.array(fc.constantFrom('a', 'b*', 'c/d', '', '?'), {
      minLength: 1,
      maxLength: 3,
    })
    const paths = fc.constantFrom('xay', 'xby', 'xbbby', 'xc/dy', 'xy', 'xzy', 'xzzy')
    fc.assert(
      fc.property(ways, paths, (ways, path) => {
        const one = ways.some((way) => globPattern(`x${way}y`).matches(at(path)))
        expect(globPattern(`x{${ways.join(',')}}y`).matches(at(path))).toBe(one)
      }),
    )
  })

  test('made of an escaped path matches only that path, in any case', () => {
    fc.assert(
      fc.property(path, path, (path, other) => {
        const { matches, prefix } = globPattern(path.replace(/[*?{}\\]/g, '\\$&'))
        expect([matches(at(path)), matches(at(path.toUpperCase()))]).toEqual([true, true])
        expect(matches(at(other))).toBe(at(other).pathKey === at(path).pathKey)
        expect(prefix).toBe(at(path).pathKey)
      }),
    )
  })
})

test.each([
  ['^drive/image/.*\\.png$', 'drive/image/'],
  ['(?i)^Drive/Image/x', 'drive/image/'],
  ['^data/a\\.b+', 'data/a'],
  ['^abc?', 'a'],
  ['^abc{2}', 'a'],
  ['^a|^b', ''],
  ['^a(b|c)/', ''],
  ['^aa(b|c)/', 'a'],
  ['^da[|]x', ''],
  ['^(data)/', ''],
  ['data/', ''],
  ['^\\d', ''],
  ['^\\Qa|b\\E', ''],
])('the regex %s begins with %j', (source, prefix) => {
  expect(regexPattern(source).prefix).toBe(prefix)
})

test('extracts a prefix that every match begins with', () => {
  const end = fc.constantFrom('', '.*', '?', '+', '{0,2}', '|x', '(b|a)', '[aJ]*', '$')
  fc.assert(
    fc.property(path, end, fc.boolean(), path, (start, end, anyCase, more) => {
      const quoted = start.replace(/[\\^$.|?*+()[\]{}]/g, '\\$&')
      const regex = regexPattern(`${anyCase ? '(?i)' : ''}^${quoted}${end}`)
      for (const path of [start, start + more, `${start}\u030c${more}`, start.slice(0, -1), more]) {
        const place = { path, pathKey: foldName(path) }
        if (regex.matches(place)) expect(place.pathKey.startsWith(regex.prefix)).toBe(true)
      }
    }),
    { numRuns: 1000 },
  )
})

test('S17: accepts any text as a pattern or rejects it as InvalidInput, quickly', () => {
  const signs = fc.string({
    unit: fc.constantFrom(...'()[]{}*+?|\\^$.,-aP<>:=!/é0123456789'),
    maxLength: 40,
  })
  fc.assert(
    fc.property(
      fc.oneof(signs, fc.string({ unit: 'binary', maxLength: 60 })),
      path,
      (text, path) => {
        for (const read of [globPattern, regexPattern]) {
          try {
            read(text).matches(at(path))
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidInput)
          }
        }
      },
    ),
    { numRuns: 2000 },
  )
})

test.each([
  [regexPattern, 'a**', 'invalid nested repetition operator, at character 2'],
  [regexPattern, 'x*|*a', 'missing argument to repetition operator, at character 4'],
  [regexPattern, 'ab)', 'unexpected ), at character 3'],
  [regexPattern, '[z-a]', 'invalid character class range, at character 2'],
  [regexPattern, '\\p{Nope}', 'invalid character class range, at character 1'],
  [regexPattern, '(?<!a)b', 'at character 1'],
  [regexPattern, '(a)\\1', 'invalid escape sequence, at character 4'],
  [regexPattern, 'ab\\', 'trailing backslash at end of expression, at character 3'],
  [regexPattern, 'a{1001}', 'invalid repeat count, at character 2'],
  [regexPattern, 'a{999}b{999}', 'pattern has too many repetitions'],
  [globPattern, 'a}', 'unmatched }, at character 2'],
  [globPattern, '{a{b}', 'unmatched {, at character 1'],
  [globPattern, 'a\\', 'trailing backslash, at character 2'],
  [globPattern, '/a', 'at character 1'],
])('%o of %s says where it is wrong', (read, text, message) => {
  expect(() => read(text)).toThrow(message)
})

test('S17: takes time proportional to the path, without backtracking', timingRetries, () => {
  const regex = regexPattern('(a*)*(a|a)*(a+)+b$')
  const timeOf = (length: number) => {
    const began = performance.now()
    expect(regex.matches(at('a'.repeat(length)))).toBe(false)
    return performance.now() - began
  }
  const [short, long] = [10_000, 20_000].map((length) =>
    Math.min(...Array.from({ length: 5 }, () => timeOf(length))),
  )
  expect(long).toBeLessThan(4 * (short ?? 0))
})

/** Returns the error message of a regex and the CPU time it took, in microseconds. */
function cost(regex: string) {
  const before = process.threadCpuUsage()
  let message: string | null = null
  try {
    regexPattern(regex)
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidInput)
    message = (error as InvalidInput).message
  }
  const { user, system } = process.threadCpuUsage(before)
  return { message, time: user + system }
}
/**
 * The CPU time of the largest ordinary pattern that is compiled; locating a syntax error may compile ten
 * parts of it.
 */
const largest = () => Math.max(...Array.from({ length: 5 }, () => cost('a?'.repeat(500)).time))
const RATIO = 40

const attacks: [string, string][] = [
  ['empty captures in a group', `(${'()'.repeat(250)}){1000}`],
  ['optional groups of empty captures', '(()()()){0,1000}a*'.repeat(55)],
  ['empty captures', '(){1000}'.repeat(120)],
  ['empty groups', '(?:){1000}'.repeat(99)],
  ['alternatives of nothing', '(|){1000}'.repeat(110)],
  ['repetitions of nothing', '(()*){1000}'.repeat(80)],
  ['named captures', `((?P<a>)${'()'.repeat(400)}){1000}`],
  ['a quoted end of the group', `(\\Q)\\E${'()'.repeat(400)}){1000}`],
  ['an end of the group in a named class', `([[:alpha:])]${'()'.repeat(400)}){1000}`],
  ['a beginning of a group in a named class', `(${'()'.repeat(400)}[[:alpha:](]){1000}`],
  ['a count behind flags', `(${'()'.repeat(400)})(?i){1000}`],
  ['counts of a brace that is text', `(?:${'{07}{10}'.repeat(100)}){100}`],
  ['a count behind an empty quotation', `(${'()'.repeat(400)})\\Q\\E{1000}`],
]
describe('S17: a regex with too many repetitions is rejected quickly', () => {
  test.each(attacks)('%s', timingRetries, (_, regex) => {
    for (const source of [regex, `${regex}(*`, `${regex}a*a*a*a*(*`]) {
      const { message, time } = cost(source)
      expect(message).toContain('pattern has too many repetitions')
      expect(time).toBeLessThan(RATIO * largest())
    }
  })

  test(
    'any regex, with a fault or without, costs little more than the largest ordinary one',
    timingRetries,
    () => {
      const parts = ['(', ')', '()', '(?:', '|', '?', '*', '+', '{1000}', '{0,1000}', '{9}', '{,3}']
      const texts = [
        'a',
        '[',
        ']',
        '\\',
        '\\Q',
        '\\E',
        '(?i)',
        '[[:alpha:]',
        '[)]',
        '\\x{29}',
        'a*',
      ]
      const piece = fc
        .array(fc.constantFrom(...parts, ...texts), { minLength: 1, maxLength: 8 })
        .chain((some) => fc.nat(120).map((times) => some.join('').repeat(times + 1)))
      const grouped = fc.oneof(
        piece,
        piece.map((inner) => `(${inner.slice(0, 980)}){1000}`),
        piece.map((inner) => `(?:${inner.slice(0, 980)}){0,1000}`),
      )
      const end = fc.constantFrom('', '(*', ')', 'a**', '[z-a]', '\\')
      const limit = RATIO * largest()
      fc.assert(
        fc.property(fc.array(grouped, { minLength: 1, maxLength: 3 }), end, (pieces, end) => {
          const source = pieces.join('').slice(0, 1000 - end.length) + end
          // Other work of the process in that time, such as garbage collection, does not occur twice.
          expect(Math.min(cost(source).time, cost(source).time)).toBeLessThan(limit)
        }),
        { numRuns: 300 },
      )
    },
  )
})

test.each([
  ['a{999}'],
  ['(?:a?b?c?){200}'],
  ['(a{20}|b{20}){30}'],
  ['\\x{2014}'.repeat(100)],
  ['\\Q({1000}\\E'.repeat(80)],
  ['[(){}|*+?]'.repeat(90)],
  ['(?i)(?P<x>\\p{L}+)/[[:alpha:]()]{500}'],
])('an ordinary regex is compiled: %s', (source) => {
  expect(cost(source).message).toBeNull()
})
