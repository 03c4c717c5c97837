import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/project-root.ts'
import { missingFeatures, rows, testsByRow } from './faults.ts'

const tests = testsByRow()
const idsOf = (list: typeof rows) => list.map(({ id }) => id)

test('there are forty attacks and twenty-three faults', () => {
  expect([rows.length, rows.at(39)?.id, rows.at(-1)?.id]).toEqual([63, 'S40', 'F23'])
})

test('every row has a test, or waits for a feature', () => {
  expect(idsOf(rows.filter(({ id, waitsFor }) => !waitsFor && !tests.has(id)))).toEqual([])
})

test('no row has a test and waits for a feature', () => {
  expect(idsOf(rows.filter(({ id, waitsFor }) => waitsFor !== undefined && tests.has(id)))).toEqual(
    [],
  )
})

test('the features that rows wait for are missing', () => {
  const texts = ['schema.graphql', 'package.json'].map((file) =>
    readFileSync(join(root, file), 'utf8'),
  )
  const there = (feature: string) =>
    texts.some((text) => missingFeatures[feature]?.test(text) ?? true)
  expect(rows.filter(({ waitsFor }) => waitsFor !== undefined && there(waitsFor))).toEqual([])
})

test('every id in a test title is a row', () => {
  expect([...tests.keys()].filter((id) => !idsOf(rows).includes(id))).toEqual([])
})
