import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const span = (letter: string, from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `${letter}${from + i}`)

/** The rows of the three seeds that must work now; the missing ones are planned. */
const rows = [
  ...span('A', 1, 17),
  ...span('A', 19, 25),
  ...span('B', 1, 17),
  'B19',
  ...span('C', 1, 65),
  'C67',
  'C68',
  ...span('C', 69, 76),
  'C81',
  'C83',
  'C87',
  'C88',
  ...span('C', 92, 94),
]

const stories = join(import.meta.dirname, '../stories/seeds')
const text = globSync('*.test.ts', { cwd: stories })
  .map((file) => readFileSync(join(stories, file), 'utf8'))
  .join('\n')

/** `seed C25 C26: …` covers two rows; a table test covers the rows that are its keys. */
const tested = new Set([
  ...[...text.matchAll(/seed ((?:[ABC]\d+ ?)+):/g)].flatMap(([, ids = '']) =>
    ids.trim().split(' '),
  ),
  ...[...text.matchAll(/^ {2}([ABC]\d+): \[/gm)].map(([, id = '']) => id),
])

test('every row of the seeds has a test', () => {
  expect(rows.filter((row) => !tested.has(row))).toEqual([])
})

test('every test of a row refers to an existing row', () => {
  expect([...tested].filter((row) => !rows.includes(row))).toEqual([])
})
