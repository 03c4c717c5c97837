import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { csvLine } from '../../src/domains/archives/manifest.ts'
import { memberName, versionName } from '../../src/domains/archives/zip/members.ts'
import { centralLength, centralMember, zipEnd } from '../../src/domains/archives/zip/zip-records.ts'
import {
  centralHeader,
  centralSize,
  descriptor,
  descriptorSize,
  ENDING_BYTES,
  endRecords,
  localHeader,
  localSize,
  type Member,
  memberSize,
} from '../../src/domains/archives/zip/zip-writer.ts'
import { checkName } from '../../src/domains/entries/rules.ts'

const GIB = 1024 ** 3
const edges = [0, 1, 2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, 5 * 1024 * GIB]
const sizes = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: 2 ** 45 }))
const names = fc
  .stringMatching(/^[a-z0-9äß研 .-]{1,40}$/u)
  .filter((name) => !['.', '..'].includes(name) && name.trim() !== '')
const members: fc.Arbitrary<Member> = fc.record({
  name: names,
  size: sizes,
  modifiedAt: fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) }),
  crc: fc.option(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { nil: undefined }),
})

describe('the layout of an archive', () => {
  test('has records of the predicted length, at any size and offset', () => {
    fc.assert(
      fc.property(members, sizes, (member, offset) => {
        expect(localHeader(member).length).toBe(localSize(member))
        expect(centralHeader(member, offset, 1).length).toBe(centralSize(member, offset))
        expect(memberSize(member)).toBe(localSize(member) + member.size + descriptorSize(member))
        if (descriptorSize(member) > 0)
          expect(descriptor(member, 7).length).toBe(descriptorSize(member))
      }),
    )
  })

  test('is read as it was written, including sizes and offsets beyond 4 GiB', () => {
    fc.assert(
      fc.property(
        members,
        sizes,
        fc.integer({ min: 0, max: 2 ** 32 - 1 }),
        (member, offset, crc) => {
          const record = centralHeader(member, offset, crc)
          expect(centralLength(record)).toBe(record.length)
          expect(centralMember(record)).toMatchObject({
            name: member.name,
            size: member.size,
            compressedSize: member.size,
            offset,
            crc,
            method: 0,
          })
        },
      ),
    )
  })

  test('locates the directory from the end record, at any offset', async () => {
    for (const offset of edges) {
      const fields = { count: 70_000, size: 5_000_000, offset }
      const end = endRecords(fields)
      expect(end.length).toBe(ENDING_BYTES)
      expect(await zipEnd(end, async () => end.subarray(0, 56))).toEqual(fields)
    }
  })

  test('uses a ZIP64 field and a long descriptor from 4 GiB on', () => {
    const member = { name: 'a', modifiedAt: 0, size: 2 ** 32 - 2 }
    const large = { ...member, size: 2 ** 32 - 1 }
    expect([localSize(member), descriptorSize(member)]).toEqual([40, 16])
    expect([localSize(large), descriptorSize(large)]).toEqual([60, 24])
    expect(centralSize(member, 2 ** 32 - 1) - centralSize(member, 0)).toBe(12)
    expect(centralSize(large, 2 ** 32 - 1) - centralSize(large, 0)).toBe(8)
  })
})

describe('the name of a member', () => {
  const entryNames = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).filter((name) => {
    try {
      return checkName(name).name === name
    } catch {
      return false
    }
  })

  test('S1, S2: can be unpacked on every system and never leaves the target directory', () => {
    const evil = fc.constantFrom(
      'C:',
      'a\\b',
      'con',
      'NUL.txt',
      'x.',
      'x ',
      '...',
      'a:b',
      'q?',
      '.versions',
    )
    fc.assert(
      fc.property(fc.array(fc.oneof(entryNames, evil), { minLength: 1, maxLength: 5 }), (path) => {
        const name = memberName(path.join('/'))
        expect(name).not.toMatch(/[\\:*?"<>|]|^\//)
        for (const part of name.split('/')) {
          expect(part).not.toMatch(/^\.{0,2}$|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i)
        }
        expect(name.split('/')).toHaveLength(path.length)
      }),
    )
  })

  test('is the path itself if that is possible', () => {
    for (const path of [
      'a.txt',
      'raw data/2025/Größe (2).csv',
      'x/manifest.json',
      '研究/データ.csv',
    ])
      expect(memberName(path)).toBe(path)
  })

  test('never collides with the manifest or an older version', () => {
    for (const path of ['manifest.json', 'MANIFEST.json', '.versions', '.versions/a/1'])
      expect(memberName(path)).not.toMatch(/^(manifest\.json$|\.versions)/i)
    expect(versionName('a/b.tar.gz', 3)).toBe('.versions/a/b.tar.gz/3.gz')
    expect(versionName('manifest.json', 1)).toBe('.versions/manifest.json/1.json')
  })

  test('is unique for each path', () => {
    fc.assert(
      fc.property(fc.uniqueArray(entryNames, { minLength: 2, maxLength: 20 }), (paths) => {
        expect(new Set(paths.map(memberName)).size).toBe(paths.length)
      }),
    )
    expect(memberName('a\\b')).not.toBe(memberName('a:b'))
  })
})

test('quotes commas, quotation marks and line breaks in cells of the CSV', () => {
  const entry = {
    path: 'a,b',
    kind: 'file' as const,
    description: 'say "hi"\nthere',
    tags: ['x', 'y'],
    metadata: {},
  }
  expect(csvLine(entry)).toBe('"a,b",file,,,,,"say ""hi""\nthere",x; y,{},,,\r\n')
})

test('F23: throws InvalidInput for anything that is not a ZIP', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      const refused = (error: Error) => expect(error.name).toBe('InvalidInput')
      await zipEnd(Buffer.from(bytes), async () => Buffer.alloc(0)).catch(refused)
    }),
  )
  const record = centralHeader({ name: 'a.txt', size: 5, modifiedAt: 0 }, 0, 1)
  fc.assert(
    fc.property(fc.nat(record.length - 1), fc.integer({ min: 0, max: 255 }), (at, byte) => {
      const spoiled = Buffer.from(record)
      spoiled[at] = byte
      try {
        if (centralLength(spoiled) !== null) centralMember(spoiled)
      } catch (error) {
        expect((error as Error).name).toBe('InvalidInput')
      }
    }),
    { numRuns: 2000 },
  )
})
