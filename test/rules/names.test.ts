import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memberName } from '../../src/domains/archives/zip/members.ts'
import { checkName, freeName, numberedName } from '../../src/domains/entries/rules.ts'
import { findNameWarnings } from '../../src/domains/entries/warnings.ts'
import { checkTagNames } from '../../src/domains/tags/rules.ts'
import { InvalidInput } from '../../src/errors/input.ts'
import { byteLength, foldName, prefixUpperBound } from '../../src/names.ts'

const key = (name: string) => checkName(name).nameKey
const refusal = (name: string) => {
  try {
    return checkName(name) && null
  } catch (error) {
    if (error instanceof InvalidInput) return error
    throw error
  }
}

/** Any well-formed text, with many characters that have unusual case folding or composition. */
const odd = fc.constantFrom(...'ßẞﬁſİıiIIéÉσςΣͅᾳᾼǰŉΐʼnΩKÅåǅǆꮿᏯŁ')
const unit = fc.oneof(odd, fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }))
const text = fc.string({ unit })
const name = text.filter((candidate) => refusal(candidate) === null)

describe('S3, S4: names compare', () => {
  test.each([
    ['the two ways to write é', 'caf\u00e9', 'cafe\u0301'],
    ['case', 'Plate1.CSV', 'plate1.csv'],
    ['case beyond ASCII', 'ÄRGER', 'ärger'],
    ['ﬁ and fi', '\ufb01le', 'file'],
    ['ß, ẞ and ss', 'STRASSE', 'straße'],
    ['ẞ and ß', 'STRAẞE', 'straße'],
    ['the sigmas', 'ΟΔΟΣ', 'οδος'],
    ['Kelvin and K', '300 \u212a', '300 k'],
    ['İ and its own small letter', '\u0130', 'i\u0307'],
  ])('without regard to %s', (_, one, other) => {
    expect(key(one)).toBe(key(other))
  })

  test.each([
    ['accents', 'resume', 'résumé'],
    ['İ and i', '\u0130', 'i'],
    ['ı and i', '\u0131', 'i'],
    ['letters of two alphabets that look alike', 'a', '\u0430'],
    ['white space around', 'a', ' a'],
    ['a zero-width space', 'ab', 'a\u200bb'],
    ['compatible forms, as ² and 2', 'm²', 'm2'],
  ])('but %s make two names', (_, one, other) => {
    expect(key(one)).not.toBe(key(other))
  })

  test('is idempotent', () => {
    fc.assert(
      fc.property(text, (some) => {
        expect(foldName(foldName(some))).toBe(foldName(some))
      }),
      { numRuns: 2000 },
    )
  })

  test('ignores Unicode composition', () => {
    fc.assert(
      fc.property(text, (some) => {
        expect(foldName(some.normalize('NFD'))).toBe(foldName(some.normalize('NFC')))
      }),
      { numRuns: 2000 },
    )
  })

  test('ignores the case of every character but ı', () => {
    for (let code = 0; code <= 0x10ffff; code++) {
      const character = String.fromCodePoint(code)
      if (character === 'ı' || (code >= 0xd800 && code <= 0xdfff)) continue
      const folded = foldName(character)
      if (foldName(character.toUpperCase()) !== folded) expect.fail(`U+${code.toString(16)}`)
      if (foldName(character.toLowerCase()) !== folded) expect.fail(`u+${code.toString(16)}`)
    }
  })
})

describe('S2: a name', () => {
  test('is displayed unchanged', () => {
    fc.assert(
      fc.property(name, (given) => {
        expect(checkName(given)).toEqual({ name: given, nameKey: foldName(given) })
      }),
    )
  })

  test.each([
    'a b',
    '1+1=2',
    '#1',
    '100%',
    '%2F',
    'it\'s "so"',
    '`rm -rf`',
    '👩‍🔬 plate',
    'CON',
    'aux.txt',
    'trailing.',
    'trailing ',
    ' leading',
    '...',
    '.hidden',
    '~',
    '-rf',
    'C:',
    'a\\b',
    'a\u200bb',
    'данные.csv',
    '数据',
  ])('can be %j', (given) => {
    expect(refusal(given)).toBe(null)
  })

  test.each([
    ['nothing', ''],
    ['white space', ' \u00a0'],
    ['.', '.'],
    ['..', '..'],
    ['.. to Windows', '..\\x'],
    ['.. within, to Windows', 'x\\..\\y'],
    ['a slash', 'a/b'],
    ['an absolute path', '/etc/passwd'],
    ['NUL', 'a\0b'],
    ['a line break', 'a\nb'],
    ['CR LF', 'a\r\nSet-Cookie: x'],
    ['DEL', 'a\x7f'],
    ['a C1 control', 'a\u0085'],
    ['half a surrogate pair', 'a\ud800'],
    ['the other half', '\udc00a'],
    ['right-to-left override', 'exe.\u202egpj'],
    ['an isolate', '\u2066a\u2069'],
    ['a mark of direction', 'a\u200f'],
    ['a noncharacter', 'a\u{10ffff}'],
    ['another noncharacter', '\ufffea'],
  ])('cannot be %s', (_, given) => {
    expect(refusal(given)?.issues).toEqual([{ path: ['name'], message: expect.any(String) }])
  })

  test.each([
    ['a\ud83d', 'U+D83D, half of a surrogate pair: the text was cut inside a character'],
    ['a\0b', 'the control character U+0000'],
    ['exe.\u202egpj', 'U+202E, an invisible direction mark'],
    ['a\u{10ffff}', 'U+10FFFF, which is no character'],
  ])('%j is refused with its unsafe character', (given, unsafe) => {
    expect(refusal(given)?.issues).toEqual([{ path: ['name'], message: `name contains ${unsafe}` }])
  })

  test('has at most 255 bytes, counted after NFC', () => {
    expect(refusal('a'.repeat(255))).toBe(null)
    expect(refusal('a'.repeat(256))?.message).toContain('256 bytes')
    expect(refusal(`${'é'.repeat(127)}a`)).toBe(null)
    expect(refusal('é'.repeat(128))?.message).toContain('256 bytes')
    expect(refusal('e\u0301'.repeat(127))).toBe(null)
    expect(refusal(`${'🧬'.repeat(63)}abc`)).toBe(null)
    expect(refusal('🧬'.repeat(64))).not.toBe(null)
  })
})

describe('warnings about a misleading name', () => {
  test.each([
    ...['report.pdf', '.hidden', 'COM10', 'console.log', 'Müller', 'naïve.txt', 'ılık', 'İstanbul'],
    ...['отчет о продажах.csv', 'данные_plate.csv', 'Ελλάδα', 'ёлка', 'Հայաստան', '数据', '第Ⅰ章'],
    ...[
      'データcsv',
      '数据data',
      '한글file',
      'TGFβ1',
      'ΔT',
      'μm',
      'NF-κB',
      'm²',
      'ﬁle',
      'שלום',
      'ไทย',
    ],
    ...[
      '👩‍🔬 plate',
      '🤷🏽‍♀️',
      '❤️‍🔥',
      '1️⃣',
      '🏴󠁧󠁢󠁥󠁮󠁧󠁿',
      'می\u200cخواهم',
      'क्\u200dष',
      '葛\u{e0100}',
      'ශ්\u200dරී',
    ],
  ])('is nothing: %s', (given) => {
    expect([refusal(given), findNameWarnings(given)]).toEqual([null, []])
  })

  test.each([
    [
      'INVISIBLE_CHARACTERS',
      ['a\u200bb', '\ufeffa', 'a\u00adb', 'a\u2060', '\u3164', '\u2800', '1\ufe0f'],
    ],
    [
      'INVISIBLE_CHARACTERS',
      ['a\u200db', 'a\u200cb', '👩\u200d', '\u200d👩', 'a\ufe0f', 'a\u{e0041}'],
    ],
    [
      'MIXED_SCRIPTS',
      ['Отчетfinal', 'Dнк', 'plate_даnные', 'γε\u03bfмика', 'Отчет2final', 'Отчет\u200bfinal'],
    ],
    ['LOOKS_LIKE_ANOTHER', ['\u0430', 'сору.txt', 'РАУ РАL', 'ΑΒΕ', 'ё', 'Ⅿ.csv', 'ոսո']],
    [
      'RESERVED_ON_WINDOWS',
      ['CON', 'aux.txt', 'con .txt', 'LPT9.tar.gz', 'com¹', 'CONIN$', 'a.', 'a ', 'a:b'],
    ],
    ['RESERVED_ON_WINDOWS', ['...', 'C:', 'a\\b', 'a<b', 'a>b', 'a"b', 'a|b', 'a?', 'a*']],
  ] as const)('is %s: %j', (warning, given) => {
    for (const some of given)
      expect([some, findNameWarnings(some)]).toEqual([some, expect.arrayContaining([warning])])
  })

  test('consider letters, whatever their accents and the separators between words', () => {
    expect(findNameWarnings('p\u0430ypal')).toEqual(['MIXED_SCRIPTS', 'LOOKS_LIKE_ANOTHER'])
    expect(findNameWarnings('g\u03bf\u03bfgle')).toEqual(['MIXED_SCRIPTS', 'LOOKS_LIKE_ANOTHER'])
    expect(findNameWarnings('p\u0451ypal')).toEqual(['MIXED_SCRIPTS', 'LOOKS_LIKE_ANOTHER'])
    expect(findNameWarnings('paypal \u0430')).toEqual(['LOOKS_LIKE_ANOTHER'])
  })

  test('are equal for NFC and NFD, and are computed for any name', () => {
    fc.assert(
      fc.property(name, (some) => {
        const [composed, apart] = [some.normalize('NFC'), some.normalize('NFD')].map(
          findNameWarnings,
        )
        expect(composed).toEqual(apart)
        expect(findNameWarnings(some).length).toBeLessThanOrEqual(4)
      }),
      { numRuns: 1000 },
    )
  })

  test('about Windows concern exactly the names that archives map', () => {
    const parts = fc.constantFrom('con', 'aux', 'lpt1', '.', ' ', ':', 'a', 'txt', '\\', 'ü')
    fc.assert(
      fc.property(fc.array(parts, { minLength: 1, maxLength: 4 }), (some) => {
        const given = some.join('')
        const isMapped = memberName(`x/${given}`) !== `x/${given}`
        expect(findNameWarnings(given).includes('RESERVED_ON_WINDOWS')).toBe(isMapped)
        expect(findNameWarnings(memberName(given))).not.toContain('RESERVED_ON_WINDOWS')
      }),
    )
  })
})

describe('a free name', () => {
  test.each([
    ['report.pdf', 'report (2).pdf'],
    ['data.tar.gz', 'data (2).tar.gz'],
    ['DATA.TAR.GZ', 'DATA (2).TAR.GZ'],
    ['README', 'README (2)'],
    ['a\u2028b.txt', 'a\u2028b (2).txt'],
    ['.bashrc', '.bashrc (2)'],
    ['v1.2 final', 'v1.2 final (2)'],
    ['a.b.c', 'a.b (2).c'],
    ['dots...', 'dots... (2)'],
    ['report (2).pdf', 'report (2) (2).pdf'],
  ])('of %s is %s', (taken, free) => {
    expect(freeName(taken, new Set([key(taken)]))).toEqual({ name: free, nameKey: key(free) })
  })

  test('is the name with a number, shortened if it is too long', () => {
    const long = fc.string({ unit, minLength: 100, maxLength: 260 })
    const given = fc.oneof(text, long, fc.tuple(long, fc.constant('.tar.gz')).map(String))
    const number = fc.integer({ min: 2, max: 10_000 })
    fc.assert(
      fc.property(given, number, (some, number) => {
        fc.pre(refusal(some) === null)
        const numbered = numberedName(some, number)
        expect(refusal(numbered)).toBe(null)
        expect(numbered).toContain(` (${number})`)
        expect(byteLength(numbered.normalize('NFC'))).toBeLessThanOrEqual(255)
      }),
    )
  })

  test('skips names that are taken, ignoring case', () => {
    const taken = new Set(['A.txt', 'a (2).TXT', 'A (3).txt', 'a (5).txt'].map(key))
    expect(freeName('a.txt', taken).name).toBe('a (4).txt')
  })
})

test('sorts names with a common prefix between the prefix and its upper bound', () => {
  fc.assert(
    fc.property(name, name, (start, rest) => {
      const [from, to] = [start, prefixUpperBound(start)].map((bound) => Buffer.from(bound))
      const between = Buffer.from(start + rest)
      expect(Buffer.compare(from as Buffer, between)).toBe(-1)
      expect(Buffer.compare(between, to as Buffer)).toBe(-1)
    }),
  )
})

describe('tag names', () => {
  test('are trimmed and deduplicated ignoring case, and empty ones are dropped', () => {
    const names = ['  Red ', 'red', 'RED', '', '  ', 'caf\u00e9', 'cafe\u0301', 'blue']
    expect(checkTagNames(names).map((tag) => tag.name)).toEqual(['Red', 'café', 'blue'])
  })

  test('are at most 50 of at most 64 characters', () => {
    const many = Array.from({ length: 50 }, (_, i) => `${i}`.padStart(64, '🧬x'))
    const fitting = many.map((tag) => [...tag].slice(-64).join(''))
    expect(checkTagNames(fitting)).toHaveLength(50)
    expect(() => checkTagNames([...fitting, 'one more'])).toThrow(/at most 50 tags/)
    expect(() => checkTagNames(['a'.repeat(65)])).toThrow(/at most 64 characters/)
    expect(() => checkTagNames(['a\nb'])).toThrow(/control/)
  })
})
