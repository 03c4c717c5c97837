import { InvalidInput } from '../../errors.ts'
import {
  byteLength,
  foldName,
  isBeyondReading,
  isStorableText,
  UNSAFE_CHARACTERS,
} from '../../names.ts'
import { checkMarks } from '../tags/rules.ts'

/** A name as it is shown, and as it compares. */
export type EntryName = { name: string; nameKey: string }

const LONGEST_NAME_BYTES = 255
/** With the name of a file below it and the id of its workspace it fits in a key of a btree of PostgreSQL (2,704 bytes). */
const LONGEST_PATH_BYTES = 2400
export const DEEPEST = 64
/** Of a file in such a folder. */
const MAX_PATH_BYTES = LONGEST_PATH_BYTES + 1 + LONGEST_NAME_BYTES
const LONGEST_DESCRIPTION = 10_000
const LARGEST_METADATA_BYTES = 64 * 1024

/** Throws InvalidInput unless `name` is 1 to 255 bytes after NFC without slash, control or bidi characters, and not . or .. */
export function checkName(name: string, path: string[] = ['name']): EntryName {
  const message = whatIsWrong(name)
  if (message) throw new InvalidInput({ path, message })
  return { name, nameKey: foldName(name) }
}

/**
 * The same for a name that an entry is to get: InvalidInput also where more than 32 combining marks follow each other. What has such a
 * name from before keeps it, and is found by it.
 */
export function checkNewName(name: string, path: string[] = ['name']): EntryName {
  const checked = checkName(name, path)
  checkMarks(name, path)
  return checked
}

function whatIsWrong(name: string): string | null {
  // More than that is not even normalised.
  const isLong = isBeyondReading(name, LONGEST_NAME_BYTES)
  const bytes = byteLength(isLong ? name : name.normalize('NFC'))
  if (bytes === 0) return 'a name is needed'
  if (bytes > LONGEST_NAME_BYTES)
    return `${bytes} bytes are too long; at most ${LONGEST_NAME_BYTES}`
  if (name.includes('/')) return 'a name has no "/"'
  if (UNSAFE_CHARACTERS.test(name)) return 'a name has no control characters'
  if (name.trim() === '') return 'a name is more than white space'
  if (name === '.' || name.split('\\').includes('..'))
    return `${JSON.stringify(name)} is not a name`
  return null
}

/** The names in a path of folders, like `raw/2025/`; none for the empty path. No empty, absolute, `.` or `..` segments. */
export const checkPath = (text: string, path: string[] = ['path']) => namesIn(text, path, DEEPEST)

/** The same in the path of an entry: a file may lie in the deepest folder. */
export const checkEntryPath = (text: string, path: string[] = ['path']) =>
  namesIn(text, path, DEEPEST + 1)

function namesIn(text: string, path: string[], most: number): EntryName[] {
  if (text === '') return []
  if (isBeyondReading(text, MAX_PATH_BYTES)) {
    throw new InvalidInput({ path, message: `a path has at most ${MAX_PATH_BYTES} bytes` })
  }
  if (text.startsWith('/')) {
    throw new InvalidInput({ path, message: 'a path does not begin with "/"' })
  }
  const names = text.replace(/\/$/, '').split('/')
  if (names.length > most) {
    throw new InvalidInput({ path, message: `at most ${DEEPEST} folders deep` })
  }
  return names.map((name) => checkName(name, path))
}

/** Also of a version's comment. */
export function checkDescription(description: string, path: string[] = ['description']): string {
  if (description.length > LONGEST_DESCRIPTION) {
    const message = `at most ${LONGEST_DESCRIPTION} characters`
    throw new InvalidInput({ path, message })
  }
  if (isStorableText(description)) return description
  throw new InvalidInput({ path, message: 'whole characters, and no U+0000' })
}

/** Metadata as it is stored, JSON of at most 64 KiB. */
export function checkMetadata(
  metadata: Record<string, unknown>,
  path: string[] = ['metadata'],
): string {
  const text = JSON.stringify(metadata)
  if (byteLength(text) > LARGEST_METADATA_BYTES) {
    throw new InvalidInput({ path, message: `at most ${LARGEST_METADATA_BYTES} bytes of JSON` })
  }
  return text
}

/** A shallow merge: null takes a key away. */
export const mergeMetadata = (old: Record<string, unknown>, change: Record<string, unknown>) =>
  Object.fromEntries(Object.entries({ ...old, ...change }).filter(([, value]) => value !== null))

type Maybe<T> = T | null | undefined
type Asked = {
  nameContains?: Maybe<string>
  pathPrefix?: Maybe<string>
  mediaTypes?: Maybe<readonly string[]>
  createdBy?: Maybe<readonly string[]>
  tags?: Maybe<Partial<Record<'anyOf' | 'allOf' | 'noneOf', Maybe<readonly string[]>>>>
}
const MOST_AT_ONCE = 100
/** More than any path has; the databases take patterns of 50,000. */
const LONGEST_TEXT_BYTES = 20_000

/** Throws InvalidInput for a filter that no database would like to read. */
export function checkFilter({ nameContains, pathPrefix, tags, ...lists }: Asked) {
  for (const [field, text] of Object.entries({ nameContains, pathPrefix })) {
    const message = `at most ${LONGEST_TEXT_BYTES} bytes`
    if (byteLength(text ?? '') > LONGEST_TEXT_BYTES) {
      throw new InvalidInput({ path: ['filter', field], message })
    }
    checkMarks(text ?? '', ['filter', field])
  }
  const { mediaTypes, createdBy } = lists
  for (const [field, list] of Object.entries({ mediaTypes, createdBy })) checkList(list, [field])
  for (const [field, list] of Object.entries(tags ?? {})) checkList(list, ['tags', field])
}

function checkList(list: Maybe<readonly string[]>, path: string[]) {
  if ((list?.length ?? 0) <= MOST_AT_ONCE) return
  const message = `at most ${MOST_AT_ONCE} at once`
  throw new InvalidInput({ path: ['filter', ...path], message })
}

/** `name` with a number before its extension: report.pdf, 2 → report (2).pdf; shortened where 255 bytes ask for it. */
export function numberedName(name: string, number: number): string {
  const [stem, extension] = splitExtension(name)
  const tail = ` (${number})${extension}`
  let head = stem
  while (byteLength((head + tail).normalize('NFC')) > LONGEST_NAME_BYTES) {
    head = [...head].slice(0, -1).join('')
  }
  return head + tail
}

/** Compound extensions of archives stay whole: data.tar.gz → data + .tar.gz. A leading dot begins a name, not an extension. */
function splitExtension(name: string): [string, string] {
  const match = /^(.+?)((?:\.tar)?\.[^.\s]{1,16})$/isu.exec(name)
  return match?.[1] && match[2] ? [match[1], match[2]] : [name, '']
}

/** The first free one among `name (2)`, `name (3)`, …, given the keys that are taken. */
export function freeName(name: string, taken: ReadonlySet<string>): EntryName {
  for (let number = 2; ; number++) {
    const candidate = numberedName(name, number)
    const nameKey = foldName(candidate)
    if (!taken.has(nameKey)) return { name: candidate, nameKey }
  }
}

type Placed = { path: string | null; pathKey: string | null }
export const childPath = (parent: Placed, name: string) =>
  parent.path ? `${parent.path}/${name}` : name
export function childPathKey(parent: Placed, nameKey: string): string {
  const pathKey = `${parent.pathKey ?? ''}${nameKey}/`
  checkPathLength(byteLength(pathKey))
  return pathKey
}

/** Throws InvalidInput for a folder whose path, as paths compare, is too long to be found by an index of any database. */
export function checkPathLength(bytes: number) {
  if (bytes <= LONGEST_PATH_BYTES) return
  const message = `the path of a folder has at most ${LONGEST_PATH_BYTES} bytes; this would be ${bytes}`
  throw new InvalidInput({ path: ['path'], message })
}

/** How many folders deep: the root is 0. */
export const depthOf = ({ pathKey }: Placed) => (pathKey ?? '').split('/').length - 1

/** Whether the folder `inner` is `outer` or lies below it. */
export const isWithin = (inner: Placed, outer: Placed) =>
  (inner.pathKey ?? '').startsWith(outer.pathKey ?? '')
