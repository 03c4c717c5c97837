import { InvalidInput } from '../../errors/input.ts'
import {
  describeUnsafeCharacter,
  foldName,
  hasLongMarkRun,
  isTooLongToNormalise,
  MAX_MARK_RUN,
} from '../../names.ts'

export type TagName = { name: string; nameKey: string }
/** Maximum number of tags of an entry. */
export const MAX_TAGS = 50
const MAX_NAME_CHARACTERS = 64
const MAX_NAME_BYTES = 4 * MAX_NAME_CHARACTERS
/** Maximum length of an input list, in which a tag may occur more than once. */
const MAX_INPUT_TAGS = 4 * MAX_TAGS
const COLOR = /^#[0-9a-f]{6}$/i

/**
 * Parses the names of tags to be added. Throws InvalidInput at `path` like parseTagNames, and for more than
 * 32 combining marks in a row.
 */
export function checkTagNames(names: readonly string[], path: string[] = ['tags']): TagName[] {
  const tags = parseTagNames(names, path)
  for (const name of names) checkMarks(name, path)
  return tags
}

/**
 * Parses the names of tags that may already exist. Returns them trimmed and in NFC, without empty names and
 * without duplicates that differ only in case. Does not limit combining marks, because older tags may exceed
 * the limit. Throws InvalidInput at `path` for more than 50 tags, and for a name with more than 64 characters
 * or with control characters.
 */
export function parseTagNames(names: readonly string[], path: string[] = ['tags']): TagName[] {
  if (names.length > MAX_INPUT_TAGS) checkTagCount(names.length, path)
  const tags = new Map<string, TagName>()
  for (const raw of names) {
    const tag = cleanTagName(raw, path)
    if (tag && !tags.has(tag.nameKey)) tags.set(tag.nameKey, tag)
  }
  checkTagCount(tags.size, path)
  return [...tags.values()]
}

/** Throws InvalidInput if an entry would have more than 50 tags. */
export function checkTagCount(count: number, path: string[]) {
  if (count > MAX_TAGS) throw new InvalidInput({ path, message: `at most ${MAX_TAGS} tags` })
}

/**
 * Returns the name of a tag, trimmed and in NFC, or null if it is empty. Throws InvalidInput at `path` for a
 * name that is too long or contains control characters.
 */
export function cleanTagName(raw: string, path: string[] = ['name']): TagName | null {
  const message = `a tag has at most ${MAX_NAME_CHARACTERS} characters`
  // Check before normalisation, which is slow for long texts.
  if (isTooLongToNormalise(raw, MAX_NAME_BYTES)) throw new InvalidInput({ path, message })
  const name = raw.normalize('NFC').trim()
  if (name === '') return null
  if ([...name].length > MAX_NAME_CHARACTERS) throw new InvalidInput({ path, message })
  const unsafe = describeUnsafeCharacter(name)
  if (unsafe) throw new InvalidInput({ path, message: `tag contains ${unsafe}` })
  return { name, nameKey: foldName(name) }
}

/** Throws InvalidInput if a text has more than 32 combining marks in a row, as given or in NFC. */
export function checkMarks(text: string, path: string[]) {
  if (!hasLongMarkRun(text) && !hasLongMarkRun(text.normalize('NFC'))) return
  const message = `at most ${MAX_MARK_RUN} combining marks in a row`
  throw new InvalidInput({ path, message })
}

/** Throws InvalidInput unless the color has the form #rrggbb. */
export function checkColor(color: string) {
  if (!COLOR.test(color))
    throw new InvalidInput({ path: ['color'], message: 'must be a color such as #1e90ff' })
}
