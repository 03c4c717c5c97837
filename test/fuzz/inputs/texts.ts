import fc from 'fast-check'

/** Text that often breaks programs. */
const nasty = fc.constantFrom(
  ...[
    '',
    ' ',
    '.',
    '..',
    '../..',
    'a/../b',
    '/etc/passwd',
    'C:\\x',
    'a\\..\\b',
    '%2e%2e%2f',
    '%00',
    '%',
    '%zz',
  ],
  ...[
    '\0',
    'a\0b',
    '\r\nSet-Cookie: x=y',
    '\t',
    '\x7f',
    '\x85',
    '\u2028',
    '\ufeff',
    '\ufffe',
    '\u{10ffff}',
  ],
  ...[
    '\ud800',
    '\udc00a',
    'a\ud83d',
    '\u202e',
    '\u200b',
    '\u2066',
    '💩',
    '👨‍👩‍👧',
    'é',
    'e\u0301',
    'ﬁ',
    'İ',
    'ı',
    'ß',
    'Å',
  ],
  ...[
    "' OR 1=1 --",
    '"NEAR(a b)"',
    'a*',
    '*',
    '^',
    'name:',
    'AND',
    '-',
    '"',
    '\\',
    '_%',
    '$1',
    '{}',
    '[]',
    '<b>',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'null',
    'undefined',
    'NaN',
    'true',
    '0',
    '-1',
    '1e999',
    '9007199254740993',
  ],
  ...[
    'CON',
    'aux.txt',
    'a.',
    'a ',
    '.a',
    'x'.repeat(255),
    'x'.repeat(256),
    'é'.repeat(128),
    'x'.repeat(5000),
  ],
)

const anyUnit = fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit))
/** Any text, with lone surrogates and text that often breaks programs. */
export const text: fc.Arbitrary<string> = fc.oneof(
  nasty,
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: anyUnit }),
)

const number = fc.nat(10_000)
const edits = ['insert', 'remove', 'double', 'cut', 'flip', 'case', 'swap', 'replace'] as const
const edit = fc.record({ how: fc.constantFrom(...edits), at: number, to: number, piece: text })
type Edit = { how: (typeof edits)[number]; at: number; to: number; piece: string }

/** Applies up to three edits to a valid text. */
export const mutated = (valid: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(valid, fc.array(edit, { maxLength: 3 }))
    .map(([whole, all]) => all.reduce(applyEdit, whole))

function applyEdit(whole: string, { how, at, to, piece }: Edit): string {
  const [start = 0, end = 0] = [at, to]
    .map((position) => position % (whole.length + 1))
    .sort((a, b) => a - b)
  const [head, middle, tail] = [whole.slice(0, start), whole.slice(start, end), whole.slice(end)]
  const variants: Record<Edit['how'], () => string> = {
    insert: () => head + piece + whole.slice(start),
    replace: () => head + piece + tail,
    remove: () => head + tail,
    double: () => head + middle + middle + tail,
    cut: () => head,
    flip: () =>
      head +
      String.fromCharCode((whole.charCodeAt(start) || 0) ^ (1 << (to % 7))) +
      whole.slice(start + 1),
    case: () => head + swapCase(middle) + tail,
    swap: () => tail + middle + head,
  }
  return variants[how]()
}

const swapCase = (some: string) =>
  some === some.toLowerCase() ? some.toUpperCase() : some.toLowerCase()

/** Text in place of an integer. */
export const numeral: fc.Arbitrary<string> = fc.oneof(
  fc.nat(5000).map(String),
  fc.constantFrom(
    '0',
    '-0',
    '-1',
    '+1',
    '01',
    '1.0',
    '1e3',
    '0x10',
    ' 5',
    '5 ',
    '5,6',
    '',
    'NaN',
    'Infinity',
    '1_0',
    '١',
  ),
  fc.constantFrom(
    '2147483647',
    '2147483648',
    '9007199254740991',
    '9007199254740992',
    '18446744073709551616',
    '9'.repeat(400),
  ),
)

/** Replaces characters that Node.js does not send in a header. Raw requests cover these. */
export const headerSafe = (value: string) => value.replace(/[^\t\x20-\x7e\x80-\xff]/g, '?')

/** Draws `otherwise` mostly, and `arbitrary` once in `times` + 1 cases. */
export const mostly = <T>(arbitrary: fc.Arbitrary<T>, otherwise: T, times = 8): fc.Arbitrary<T> =>
  fc.oneof({ weight: times, arbitrary: fc.constant(otherwise) }, { weight: 1, arbitrary })

/** Draws one of the space-separated words. */
export const oneOf = (words: string): fc.Arbitrary<string> => fc.constantFrom(...words.split(' '))
