import { InvalidInput } from '../../errors.ts'
import { foldName, UNSAFE_CHARACTERS } from '../../names.ts'

export type TagName = { name: string; nameKey: string }
const MOST = 50
const LONGEST = 64
const COLOR = /^#[0-9a-f]{6}$/i

/** Tag names as they are kept: trimmed, NFC, each once without regard to case, empty ones dropped; at most 50 of at most 64 characters. */
export function checkTagNames(names: readonly string[], path: string[] = ['tags']): TagName[] {
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
  if (count > MOST) throw new InvalidInput({ path, message: `at most ${MOST} tags` })
}

/** One tag's name, or null where nothing remains of it. */
export function cleanTagName(raw: string, path: string[] = ['name']): TagName | null {
  const name = raw.normalize('NFC').trim()
  if (name === '') return null
  if ([...name].length > LONGEST || UNSAFE_CHARACTERS.test(name)) {
    const message = `a tag has at most ${LONGEST} characters, none of them a control character`
    throw new InvalidInput({ path, message })
  }
  return { name, nameKey: foldName(name) }
}

export function checkColor(color: string) {
  if (!COLOR.test(color))
    throw new InvalidInput({ path: ['color'], message: 'a color like #1e90ff' })
}
