import { isFitForWindows } from '../../names.ts'

export type NameWarning =
  | 'INVISIBLE_CHARACTERS'
  | 'MIXED_SCRIPTS'
  | 'LOOKS_LIKE_ANOTHER'
  | 'RESERVED_ON_WINDOWS'

/** What may mislead people or other systems about a name that checkName accepts. */
export const warningsOf = (name: string): NameWarning[] =>
  tests.filter(([, applies]) => applies(name)).map(([warning]) => warning)

/** A name has each warning once at most. */
export const MAX_NAME_WARNINGS = 4

const tests: [NameWarning, (name: string) => boolean][] = [
  ['INVISIBLE_CHARACTERS', (name) => /[\p{DI}\u2800]/u.test(name.replace(NEEDED, ''))],
  ['MIXED_SCRIPTS', (name) => name.match(WORDS)?.some(isMixed) ?? false],
  ['LOOKS_LIKE_ANOTHER', readsAsLatin],
  ['RESERVED_ON_WINDOWS', (name) => !isFitForWindows(name)],
]

/** Scripts in which it can be said of two letters whether they join. */
const JOINED = 'Arab Syrc Mong Nkoo Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Khmr Mymr'
  .split(' ')
  .map((script) => `\\p{scx=${script}}`)
  .join('')

/** Invisible characters where they belong, by what stands before them (UTS 39, section 3.1.1; RFC 5892, appendix A). */
const NEEDED = new RegExp(
  [
    // Emoji: their sequences, how they are drawn, the flags of regions.
    String.raw`(?<=[\p{ExtPict}\p{EMod}\ufe0f])\u200d(?=\p{ExtPict})`,
    String.raw`(?<=\p{ExtPict})[\ufe0e\ufe0f]`,
    String.raw`(?<=[\d#*])\ufe0f(?=\u20e3)`,
    String.raw`(?<=\u{1f3f4})[\u{e0020}-\u{e007e}]+\u{e007f}`,
    // The variants of ideographs and of Mongolian letters.
    String.raw`(?<=\p{Ideographic})[\ufe00-\ufe0f\u{e0100}-\u{e01ef}]`,
    String.raw`(?<=\p{scx=Mong})[\u180b-\u180f]`,
    // Whether letters join: Persian, and the scripts of India.
    String.raw`(?<=[${JOINED}])[\u200c\u200d](?=\p{L})`,
  ].join('|'),
  'gu',
)

/** What belongs together, with what nobody sees in it. */
const WORDS = /[\p{L}\p{M}\p{N}\p{DI}]+/gu

/** Those that have letters in common, by their looks. Latin stands beside Chinese, Japanese, Korean and others in many a word. */
const alphabets = [
  /\p{scx=Latn}/u,
  /\p{scx=Cyrl}/u,
  /\p{scx=Grek}/u,
  /\p{scx=Armn}/u,
  /\p{scx=Copt}/u,
  /\p{scx=Cher}/u,
]

/** What looks like a letter from a to z (from Unicode's confusables.txt). */
const twins = {
  Cyrillic: 'асеорхуѕіјһԁԛԝѵӏАВЕКМНОРСТХУЅІЈԌԚԜҮӀѴ',
  Greek: 'οϲϳνΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹͿ',
  Armenian: 'օոսհցզՕՍՏԼ',
  Latin: 'ɑɡⅰⅴⅹⅼⅽⅾⅿⅠⅤⅩⅬⅭⅮⅯ',
}
const TWINS = new RegExp(`[${Object.values(twins).join('')}]`, 'u')

/** Greek letters that look like no Latin one are signs of the sciences: TGFβ, ΔT. */
const isSign = (letter: string) => /\p{scx=Grek}/u.test(letter) && !TWINS.test(letter)

/** UTS 39, section 5.1, of these alphabets: no single one has all letters of the word. */
function isMixed(word: string): boolean {
  const letters = lettersOf(word).filter(
    (letter) => alphabets.some((alphabet) => alphabet.test(letter)) && !isSign(letter),
  )
  return !alphabets.some((alphabet) => letters.every((letter) => alphabet.test(letter)))
}

/** Every letter is a Latin one or the twin of one: the same name could be written in Latin alone. */
function readsAsLatin(name: string): boolean {
  if (!TWINS.test(name.normalize('NFD'))) return false
  return lettersOf(name).every((letter) => TWINS.test(letter) || /\p{scx=Latn}/u.test(letter))
}

/** Without their accents. */
const lettersOf = (text: string) => text.normalize('NFD').match(/\p{L}/gu) ?? []
