import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  checkEntryPath,
  checkMetadata,
  checkPath,
  childPath,
  childPathKey,
  depthOf,
  type EntryName,
  isWithin,
  mergeMetadata,
} from '../../src/domains/entries/rules.ts'
import { InvalidInput } from '../../src/errors/input.ts'

/** Few and similar names, so that they collide: one is a prefix of another, two differ in case. */
const name = fc.constantFrom('a', 'A', 'ab', 'a b', 'ß', 'ss', 'é', 'e\u0301', 'x.y')
const names = fc.array(name, { maxLength: 6 })
const root = { path: '', pathKey: '' }

/** A folder as its row stores it, created from the root down. */
const folderAt = (path: readonly EntryName[]) =>
  path.reduce(
    (parent, child) => ({
      path: childPath(parent, child.name),
      pathKey: childPathKey(parent, child.nameKey),
    }),
    root,
  )

describe('a path', () => {
  test('is its names joined by slashes; a trailing one is ignored', () => {
    fc.assert(
      fc.property(names, fc.boolean(), (names, slash) => {
        const text = names.join('/') + (slash && names.length > 0 ? '/' : '')
        expect(checkPath(text).map(({ name }) => name)).toEqual(names)
      }),
    )
  })

  test.each([
    '/',
    '//',
    '/a',
    'a//b',
    'a//',
    './a',
    'a/.',
    '../a',
    'a/../b',
    'a/..\\b',
    'a/ /b',
    'a/\0',
  ])('is not %j', (text) => {
    expect(() => checkPath(text, ['input', 'path'])).toThrow(InvalidInput)
    expect(() => checkPath(text, ['input', 'path'])).toThrow(/^input\.path: /)
  })

  test('has at most 64 folders, and a file may be in the last of them', () => {
    const deep = (levels: number) => Array.from({ length: levels }, () => 'd').join('/')
    expect(checkPath(deep(64))).toHaveLength(64)
    expect(() => checkPath(deep(65))).toThrow(/path has 65 levels \(limit 64\)/)
    expect(checkEntryPath(`${deep(64)}/file.txt`)).toHaveLength(65)
    expect(() => checkEntryPath(deep(66))).toThrow(/path has 66 levels \(limit 65\)/)
  })
})

describe('a folder', () => {
  test('is as deep as its path has names, and its path resolves to it', () => {
    fc.assert(
      fc.property(names, (names) => {
        const folder = folderAt(checkPath(names.join('/')))
        expect(depthOf(folder)).toBe(names.length)
        expect(folder.path).toBe(names.join('/'))
        expect(folderAt(checkPath(folder.path))).toEqual(folder)
      }),
    )
  })

  test('is inside another if its names start with those of the other', () => {
    fc.assert(
      fc.property(names, names, (inner, outer) => {
        const [here, there] = [inner, outer].map((path) => checkPath(path.join('/')))
        const begins = there?.every(({ nameKey }, i) => here?.[i]?.nameKey === nameKey)
        expect(isWithin(folderAt(here ?? []), folderAt(there ?? []))).toBe(begins)
      }),
      { numRuns: 1000 },
    )
  })
})

describe('metadata', () => {
  const value = fc.jsonValue({ maxDepth: 2 }).filter((json) => json !== null)
  const key = fc.constantFrom('plate', 'operator', 'run', '')
  const metadata = fc.dictionary(key, value)
  const change = fc.dictionary(key, fc.option(value))

  test('is merged shallowly: given keys are replaced, null removes, other keys stay', () => {
    fc.assert(
      fc.property(metadata, change, (old, change) => {
        const merged = mergeMetadata(old, change)
        for (const [key, value] of Object.entries(change)) {
          expect(Object.hasOwn(merged, key)).toBe(value !== null)
          if (value !== null) expect(merged[key]).toEqual(value)
        }
        for (const key of Object.keys(old)) if (!(key in change)) expect(merged[key]).toBe(old[key])
        expect(mergeMetadata(merged, change)).toEqual(merged)
      }),
    )
  })

  test('S36: accepts at most 64 KiB of JSON', () => {
    const filled = (bytes: number) => ({ a: 'x'.repeat(bytes - '{"a":""}'.length) })
    expect(checkMetadata(filled(65_536))).toHaveLength(65_536)
    expect(() => checkMetadata(filled(65_537))).toThrow(/^metadata: JSON has 65537 bytes/)
    expect(() => checkMetadata({ a: 'é'.repeat(32_768) })).toThrow(InvalidInput)
  })
})
