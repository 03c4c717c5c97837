import fc from 'fast-check'
import { RE2JS } from 're2js'
import { expect, test } from 'vitest'
import { countSteps } from '../../../src/domains/entries/patterns/pattern-steps.ts'

const groups = ['(', ')', '()', '(?:', '(?i)', '(?i:', '(?-s', '(?P<a>', '(?<b>']
const repetitions = ['?', '*', '+', '{9}', '{0,9}', '{3,}', '{,3}', '{2}', '{0}', '{0,0}', '{07}']
const texts = ['a', '|', '^', '$', '.', '-', '}', '\n', 'é', '😀', '\\', '\\Q', '\\E', '\\b']
const classes = [
  '[',
  '[^',
  ']',
  '[:',
  ':]',
  '[[:alpha:]',
  '[)]',
  '\\x{29}',
  '\\x{',
  '\\p{L}',
  '\\pL',
]
/** An empty capture compiles to three steps and counts as two; every program begins and ends with some. */
const [FACTOR, MORE] = [1.5, 4]

test('estimates the compiled steps of any regex closely enough', () => {
  const part = fc.constantFrom(...groups, ...repetitions, ...texts, ...classes)
  let compiled = 0
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 14 }), (parts) => {
      const source = parts.join('')
      const size = sizeOf(source)
      if (size === null) return
      compiled++
      expect(size).toBeLessThanOrEqual(FACTOR * countSteps(source) + MORE)
    }),
    { numRuns: 10_000 },
  )
  expect(compiled).toBeGreaterThan(1000)
})

function sizeOf(source: string): number | null {
  try {
    return RE2JS.compile(source).programSize()
  } catch {
    return null
  }
}
