import { InvalidInput } from '../../errors/input.ts'
import {
  byteLength,
  describeUnsafeCharacter,
  describeUnstorable,
  foldName,
  isTooLongToNormalise,
} from '../../names.ts'
import { checkMarks } from '../tags/rules.ts'

/** A name as displayed and the key by which it is compared. */
export type EntryName = { name: string; nameKey: string }

const MAX_NAME_BYTES = 255
/**
 * A path of this length, a file name and a workspace id fit together in a btree key of PostgreSQL (2,704
 * bytes).
 */
const MAX_FOLDER_PATH_BYTES = 2400
/** Maximum folder depth; the root has depth 0. */
export const MAX_FOLDER_DEPTH = 64
const MAX_PATH_BYTES = MAX_FOLDER_PATH_BYTES + 1 + MAX_NAME_BYTES
const MAX_DESCRIPTION_LENGTH = 10_000
const MAX_METADATA_BYTES = 64 * 1024

/**
 * Returns the name with its key. `path` is the path of the input field. Throws InvalidInput unless the name
 * has 1 to 255 bytes in NFC, is not only white space, has no slash, control or bidi characters, and is
 * neither `.` nor has `..` as a part between backslashes.
 */
export function checkName(name: string, path: string[] = ['name']): EntryName {
  const message = describeNameError(name)
  if (message) throw new InvalidInput({ path, message })
  return { name, nameKey: foldName(name) }
}

/**
 * Returns the name that a new or renamed entry is to receive, with its key. Throws InvalidInput like
 * checkName, and for more than 32 combining marks in a row. Existing entries with such names stay accessible.
 */
export function checkNewName(name: string, path: string[] = ['name']): EntryName {
  const checked = checkName(name, path)
  checkMarks(name, path)
  return checked
}

function describeNameError(name: string): string | null {
  // Normalising takes quadratic time, so it is skipped for oversized names.
  const isLong = isTooLongToNormalise(name, MAX_NAME_BYTES)
  const bytes = byteLength(isLong ? name : name.normalize('NFC'))
  if (bytes === 0) return 'name is empty'
  if (bytes > MAX_NAME_BYTES) return `name has ${bytes} bytes (limit ${MAX_NAME_BYTES})`
  if (name.includes('/')) return 'name contains "/"'
  const unsafe = describeUnsafeCharacter(name)
  if (unsafe) return `name contains ${unsafe}`
  if (name.trim() === '') return 'name contains only white space'
  if (name === '.' || name.split('\\').includes('..'))
    return `${JSON.stringify(name)} is not a valid name`
  return null
}

/**
 * Returns the names in a folder path such as `raw/2025/`, or [] for the empty path. Throws InvalidInput for
 * an absolute or too deep path and for invalid names.
 */
export const checkPath = (text: string, path: string[] = ['path']) =>
  parsePath(text, path, MAX_FOLDER_DEPTH)

/**
 * Returns the names in the path of a file or folder; a file may be in the deepest folder. Throws like
 * checkPath.
 */
export const checkEntryPath = (text: string, path: string[] = ['path']) =>
  parsePath(text, path, MAX_FOLDER_DEPTH + 1)

function parsePath(text: string, path: string[], maxNameCount: number): EntryName[] {
  if (text === '') return []
  if (isTooLongToNormalise(text, MAX_PATH_BYTES)) {
    const message = `path has ${byteLength(text)} bytes (limit ${MAX_PATH_BYTES})`
    throw new InvalidInput({ path, message })
  }
  if (text.startsWith('/')) {
    throw new InvalidInput({ path, message: 'path begins with "/"' })
  }
  const names = text.replace(/\/$/, '').split('/')
  if (names.length > maxNameCount) {
    const message = `path has ${names.length} levels (limit ${maxNameCount})`
    throw new InvalidInput({ path, message })
  }
  return names.map((name) => checkName(name, path))
}

/**
 * Returns the text of a description of an entry or of a comment on a version. Throws InvalidInput for invalid
 * text.
 */
export function checkDescription(description: string, path: string[] = ['description']): string {
  if (description.length > MAX_DESCRIPTION_LENGTH) {
    const message = `text has ${description.length} characters (limit ${MAX_DESCRIPTION_LENGTH})`
    throw new InvalidInput({ path, message })
  }
  const unstorable = describeUnstorable(description)
  if (unstorable) throw new InvalidInput({ path, message: `text contains ${unstorable}` })
  return description
}

/** Returns metadata as JSON text for storage. Throws InvalidInput for more than 64 KiB. */
export function checkMetadata(
  metadata: Record<string, unknown>,
  path: string[] = ['metadata'],
): string {
  const text = JSON.stringify(metadata)
  const bytes = byteLength(text)
  if (bytes > MAX_METADATA_BYTES) {
    const message = `JSON has ${bytes} bytes (limit ${MAX_METADATA_BYTES})`
    throw new InvalidInput({ path, message })
  }
  return text
}

/** Merges metadata at the top level. A null value removes its key. */
export const mergeMetadata = (old: Record<string, unknown>, change: Record<string, unknown>) =>
  Object.fromEntries(Object.entries({ ...old, ...change }).filter(([, value]) => value !== null))

type Maybe<T> = T | null | undefined
type UnparsedFilter = {
  nameContains?: Maybe<string>
  pathPrefix?: Maybe<string>
  mediaTypes?: Maybe<readonly string[]>
  createdBy?: Maybe<readonly string[]>
  tags?: Maybe<Partial<Record<'anyOf' | 'allOf' | 'noneOf', Maybe<readonly string[]>>>>
}
const MAX_FILTER_LIST_SIZE = 100
/** Longer than any path, and below the limit of the databases for LIKE patterns (50,000 bytes). */
const MAX_FILTER_TEXT_BYTES = 20_000

/** Throws InvalidInput for a filter with a text or list that is too long. */
export function checkFilter({ nameContains, pathPrefix, tags, ...lists }: UnparsedFilter) {
  for (const [field, text] of Object.entries({ nameContains, pathPrefix })) {
    const bytes = byteLength(text ?? '')
    if (bytes > MAX_FILTER_TEXT_BYTES) {
      const message = `text has ${bytes} bytes (limit ${MAX_FILTER_TEXT_BYTES})`
      throw new InvalidInput({ path: ['filter', field], message })
    }
    checkMarks(text ?? '', ['filter', field])
  }
  const { mediaTypes, createdBy } = lists
  for (const [field, list] of Object.entries({ mediaTypes, createdBy })) checkList(list, [field])
  for (const [field, list] of Object.entries(tags ?? {})) checkList(list, ['tags', field])
}

function checkList(list: Maybe<readonly string[]>, path: string[]) {
  const count = list?.length ?? 0
  if (count <= MAX_FILTER_LIST_SIZE) return
  const message = `list has ${count} values (limit ${MAX_FILTER_LIST_SIZE})`
  throw new InvalidInput({ path: ['filter', ...path], message })
}

/**
 * Inserts a number before the extension, such as report (2).pdf, and shortens the name to fit in 255 bytes.
 */
export function numberedName(name: string, number: number): string {
  const [stem, extension] = splitExtension(name)
  const tail = ` (${number})${extension}`
  let head = stem
  while (byteLength((head + tail).normalize('NFC')) > MAX_NAME_BYTES) {
    head = [...head].slice(0, -1).join('')
  }
  return head + tail
}

/**
 * Splits a name into stem and extension. Compound extensions of archives stay whole, as in data + .tar.gz. A
 * leading dot starts a name, not an extension.
 */
function splitExtension(name: string): [string, string] {
  const match = /^(.+?)((?:\.tar)?\.[^.\s]{1,16})$/isu.exec(name)
  return match?.[1] && match[2] ? [match[1], match[2]] : [name, '']
}

/** Returns the first of `name (2)`, `name (3)`, … whose key is not in `taken`. */
export function freeName(name: string, taken: ReadonlySet<string>): EntryName {
  for (let number = 2; ; number++) {
    const candidate = numberedName(name, number)
    const nameKey = foldName(candidate)
    if (!taken.has(nameKey)) return { name: candidate, nameKey }
  }
}

type FolderPath = { path: string; pathKey: string }
/** Returns the path of a child with this name. */
export const childPath = (parent: Pick<FolderPath, 'path'>, name: string) =>
  parent.path ? `${parent.path}/${name}` : name
/** Returns the pathKey of a child folder with this name key. Throws InvalidInput if it is too long. */
export function childPathKey(parent: FolderPath, nameKey: string): string {
  const pathKey = `${parent.pathKey}${nameKey}/`
  checkPathLength(byteLength(pathKey))
  return pathKey
}

/** Throws InvalidInput if a pathKey of `bytes` bytes is too long for the indexes of the databases. */
export function checkPathLength(bytes: number) {
  if (bytes <= MAX_FOLDER_PATH_BYTES) return
  const message = `folder path would have ${bytes} bytes (limit ${MAX_FOLDER_PATH_BYTES})`
  throw new InvalidInput({ path: ['path'], message })
}

/** Returns the depth of a folder; the root has depth 0. */
export const depthOf = ({ pathKey }: FolderPath) => pathKey.split('/').length - 1

/** Returns whether the folder `inner` is `outer` or is below it. */
export const isWithin = (inner: FolderPath, outer: FolderPath) =>
  inner.pathKey.startsWith(outer.pathKey)
