import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ColumnType } from '../../src/database/tables.ts'
import type { UserTable } from '../../src/database/user-tables/user-table.ts'
import { checkTable, requirePathColumn, sqlNameOf } from '../../src/domains/tables/rules.ts'
import { decodeCells, encodeCells } from '../../src/domains/tables/values.ts'
import { RowRejected } from '../../src/errors/entries.ts'
import { InvalidInput } from '../../src/errors/input.ts'

const workspace = 'ws_0199aaaabbbbccccddddeeeeffff0000'
const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,62}$/)
const tableOf = (type: ColumnType | null): UserTable => ({
  name: 'plates',
  sqlName: 'ws_x_plates',
  keyColumn: '_id',
  letIn: false,
  columns: [{ name: 'c', type, nullable: true }],
})

test('maps every valid name to one that PostgreSQL neither truncates nor folds', () => {
  fc.assert(
    fc.property(name, (name) => {
      expect(sqlNameOf(workspace, name)).toMatch(/^ws_[0-9a-f]{12}_[a-z0-9_]{1,47}$/)
    }),
  )
})

test('maps two table names to the same name only if they differ by case', () => {
  fc.assert(
    fc.property(name, name, (one, other) => {
      const same = one.toLowerCase() === other.toLowerCase()
      expect(sqlNameOf(workspace, one) === sqlNameOf(workspace, other)).toBe(same)
    }),
  )
  const long = 'x'.repeat(62)
  expect(sqlNameOf(workspace, `${long}1`)).not.toBe(sqlNameOf(workspace, `${long}2`))
  expect(sqlNameOf(workspace, 'a')).not.toBe(sqlNameOf('ws_0199aaaabbbbccccddddeeeeffff0001', 'a'))
})

test('rejects names with other characters than letters, digits and "_"', () => {
  const wrong = fc.string().filter((text) => !/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(text))
  const column = { name: 'image', type: 'FILE_PATH', nullable: true } as const
  fc.assert(
    fc.property(wrong, (text) => {
      expect(() => checkTable(text, [column], '_id')).toThrow(InvalidInput)
      expect(() => checkTable('ok', [{ ...column, name: text }], '_id')).toThrow(InvalidInput)
    }),
  )
  for (const unsayable of ['__proto__', 'constructor', 'prototype', '_ID']) {
    const columns = [{ ...column, name: unsayable }]
    expect(() => checkTable('ok', columns, '_id')).toThrow(InvalidInput)
  }
})

const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'))
const values: [ColumnType, fc.Arbitrary<unknown>][] = [
  ['TEXT', text],
  ['FILE_PATH', text],
  ['INTEGER', fc.maxSafeInteger()],
  ['REAL', fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0))],
  ['BOOLEAN', fc.boolean()],
  ['JSON', fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)))],
  [
    'TIMESTAMP',
    fc
      .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
      .map((date) => date.toISOString()),
  ],
]

describe.each(values)('%s', (type, arbitrary) => {
  test('is returned unchanged', () => {
    const table = tableOf(type)
    fc.assert(
      fc.property(fc.oneof(arbitrary, fc.constant(null)), (value) => {
        const cells = encodeCells(table, { c: value })
        expect(['string', 'number', 'object']).toContain(typeof cells.c)
        expect(decodeCells(table, cells)).toEqual({ c: value })
      }),
    )
  })
})

test.each([
  ['2025-01-31T10:30:00+01:00', '2025-01-31T09:30:00.000Z'],
  ['2024-02-29t00:00:00z', '2024-02-29T00:00:00.000Z'],
  ['2025-01-31T23:59:59.123456-00:30', '2025-02-01T00:29:59.123Z'],
])('the moment %s is kept as %s', (given, kept) => {
  expect(encodeCells(tableOf('TIMESTAMP'), { c: given })).toEqual({ c: kept })
})

test.each([
  '2025-02-29T00:00:00Z',
  '2025-01-31T24:30:00Z',
  '2025-01-31',
  '2025-01-31T00:00:00',
  '9999-12-31T23:59:59-01:00',
  '0000-12-31T23:59:59Z',
  '2025-01-31T00:00:00+99:00',
])('%s is no moment', (given) => {
  expect(() => encodeCells(tableOf('TIMESTAMP'), { c: given })).toThrow(RowRejected)
})

test('accepts only existing, visible columns of the table', () => {
  for (const column of ['nowhere', 'C', '_id', 'toString', '']) {
    expect(() => encodeCells(tableOf('TEXT'), { [column]: 'x' })).toThrow(RowRejected)
  }
  expect(() => encodeCells(tableOf(null), { c: 'x' })).toThrow(RowRejected)
  expect(() => requirePathColumn(tableOf('TEXT'), 'c')).toThrow('this column is TEXT')
  expect(requirePathColumn(tableOf('FILE_PATH'), 'c')).toBe('c')
})

test('returns cells written by other programs unchanged', () => {
  const found = (type: ColumnType, cell: string | number | Buffer) =>
    decodeCells(tableOf(type), { c: cell }).c
  expect(found('JSON', '{broken')).toBe('{broken')
  expect(found('BOOLEAN', 7)).toBe(7)
  expect(found('INTEGER', 'seven')).toBe('seven')
  expect(found('TEXT', Buffer.from('x'))).toBe('eA==')
  expect(found('JSON', 'null')).toBe(null)
})
