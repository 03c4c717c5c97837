import { isFitForWindows } from '../../names.ts'

export type NameWarning =
  | 'INVISIBLE_CHARACTERS'
  | 'MIXED_SCRIPTS'
  | 'LOOKS_LIKE_ANOTHER'
  | 'RESERVED_ON_WINDOWS'

/** Returns the reasons why a valid name may mislead people or fail on other systems. */
export const findNameWarnings = (name: string): NameWarning[] =>
  tests.filter(([, applies]) => applies(name)).map(([warning]) => warning)

/** Number of distinct warnings. */
export const MAX_NAME_WARNINGS = 4

const tests: [NameWarning, (name: string) => boolean][] = [
  [
    'INVISIBLE_CHARACTERS',
    (name) => /[\p{DI}\u2800]/u.test(name.replace(LEGITIMATE_INVISIBLES, '')),
  ],
  ['MIXED_SCRIPTS', (name) => name.match(WORDS)?.some(isMixed) ?? false],
  ['LOOKS_LIKE_ANOTHER', readsAsLatin],
  ['RESERVED_ON_WINDOWS', (name) => !isFitForWindows(name)],
]

/** Scripts in which invisible characters control whether two letters join. */
const JOINED = 'Arab Syrc Mong Nkoo Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Khmr Mymr'
  .split(' ')
  .map((script) => `\\p{scx=${script}}`)
  .join('')

/** Invisible characters in contexts that require them (UTS 39, section 3.1.1; RFC 5892, appendix A). */
const LEGITIMATE_INVISIBLES = new RegExp(
  [
    // Emoji: sequences, presentation selectors, flags of regions.
    String.raw`(?<=[\p{ExtPict}\p{EMod}\ufe0f])\u200d(?=\p{ExtPict})`,
    String.raw`(?<=\p{ExtPict})[\ufe0e\ufe0f]`,
    String.raw`(?<=[\d#*])\ufe0f(?=\u20e3)`,
    String.raw`(?<=\u{1f3f4})[\u{e0020}-\u{e007e}]+\u{e007f}`,
    // Variants of ideographs and of Mongolian letters.
    String.raw`(?<=\p{Ideographic})[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]`,
    String.raw`(?<=\p{scx=Mong})[\u180b-\u180f]`,
    // Joiners between letters, for Persian and the scripts of India.
    String.raw`(?<=[${JOINED}])[\u200c\u200d](?=\p{L})`,
  ].join('|'),
  'gu',
)

/** Words, including the invisible characters in them. */
const WORDS = /[\p{L}\p{M}\p{N}\p{DI}]+/gu

/**
 * Alphabets with letters that look alike. Chinese, Japanese and Korean are not listed, because mixing them
 * with Latin is common.
 */
const alphabets = [
  /\p{scx=Latn}/u,
  /\p{scx=Cyrl}/u,
  /\p{scx=Grek}/u,
  /\p{scx=Armn}/u,
  /\p{scx=Copt}/u,
  /\p{scx=Cher}/u,
]

/** Letters that look like a letter from a to z (from Unicode's confusables.txt). */
const lookalikes = {
  Cyrillic: 'асеорхуѕіјһԁԛԝѵӏАВЕКМНОРСТХУЅІЈԌԚԜҮӀѴ',
  Greek: 'οϲϳνΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿ',
  Armenian: 'օոսհցզՕՍՏԼ',
  Latin: 'ɑɡⅰⅴⅹⅼⅽⅾⅿⅠⅤⅩⅬⅭⅮⅯ',
}
const LOOKALIKES = new RegExp(`[${Object.values(lookalikes).join('')}]`, 'u')

/** Greek letters that do not look Latin are common scientific symbols, as in TGFβ and ΔT. */
const isSymbol = (letter: string) => /\p{scx=Grek}/u.test(letter) && !LOOKALIKES.test(letter)

/**
 * Returns whether no single one of these alphabets contains all letters of the word (UTS 39, section 5.1).
 */
function isMixed(word: string): boolean {
  const letters = lettersOf(word).filter(
    (letter) => alphabets.some((alphabet) => alphabet.test(letter)) && !isSymbol(letter),
  )
  return !alphabets.some((alphabet) => letters.every((letter) => alphabet.test(letter)))
}

/** Returns whether every letter is Latin or looks Latin, and at least one only looks Latin. */
function readsAsLatin(name: string): boolean {
  if (!LOOKALIKES.test(name.normalize('NFD'))) return false
  return lettersOf(name).every((letter) => LOOKALIKES.test(letter) || /\p{scx=Latn}/u.test(letter))
}

/** Returns the letters of a text without diacritics. */
const lettersOf = (text: string) => text.normalize('NFD').match(/\p{L}/gu) ?? []
