import { InvalidInput } from '../../errors.ts'
import {
  foldName,
  hasLongMarkRun,
  isBeyondReading,
  MAX_MARK_RUN,
  UNSAFE_CHARACTERS,
} from '../../names.ts'

export type TagName = { name: string; nameKey: string }
export const MAX_TAGS = 50
const LONGEST = 64
/** Of 64 characters, and of a list in which tags may be named more than once. */
const MAX_BYTES = 4 * LONGEST
const MAX_NAMED = 4 * MAX_TAGS
const COLOR = /^#[0-9a-f]{6}$/i

/**
 * Tag names as they are kept: trimmed, NFC, each once without regard to case, empty ones dropped; at most 50 of at most 64 characters,
 * of which at most 32 in a row are combining marks.
 */
export function checkTagNames(names: readonly string[], path: string[] = ['tags']): TagName[] {
  const tags = readTagNames(names, path)
  for (const name of names) checkMarks(name, path)
  return tags
}

/** The same for tags that may be there already: one that was made before there was a limit to its marks is still named. */
export function readTagNames(names: readonly string[], path: string[] = ['tags']): TagName[] {
  if (names.length > MAX_NAMED) checkTagCount(names.length, path)
  const tags = new Map<string, TagName>()
  for (const raw of names) {
    const tag = cleanTagName(raw, path)
    if (tag && !tags.has(tag.nameKey)) tags.set(tag.nameKey, tag)
  }
  checkTagCount(tags.size, path)
  return [...tags.values()]
}

/** Throws InvalidInput where an entry would have more tags than one has. */
export function checkTagCount(count: number, path: string[]) {
  if (count > MAX_TAGS) throw new InvalidInput({ path, message: `at most ${MAX_TAGS} tags` })
}

/** One tag's name, or null where nothing remains of it. */
export function cleanTagName(raw: string, path: string[] = ['name']): TagName | null {
  const message = `a tag has at most ${LONGEST} characters, none of them a control character`
  // More than that is not even normalised.
  if (isBeyondReading(raw, MAX_BYTES)) throw new InvalidInput({ path, message })
  const name = raw.normalize('NFC').trim()
  if (name === '') return null
  if ([...name].length > LONGEST || UNSAFE_CHARACTERS.test(name))
    throw new InvalidInput({ path, message })
  return { name, nameKey: foldName(name) }
}

/** Throws InvalidInput for a text in which more than 32 combining marks follow each other, as it stands or in NFC. */
export function checkMarks(text: string, path: string[]) {
  if (!hasLongMarkRun(text) && !hasLongMarkRun(text.normalize('NFC'))) return
  const message = `at most ${MAX_MARK_RUN} combining marks follow each other`
  throw new InvalidInput({ path, message })
}

export function checkColor(color: string) {
  if (!COLOR.test(color))
    throw new InvalidInput({ path: ['color'], message: 'a color like #1e90ff' })
}
