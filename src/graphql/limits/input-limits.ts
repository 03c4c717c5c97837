import {
  type GraphQLInputType,
  type GraphQLResolveInfo,
  isInputObjectType,
  isListType,
  isNonNullType,
  isScalarType,
} from 'graphql'
import { NotFound } from '../../errors/access.ts'
import type { DomainError } from '../../errors/domain-error.ts'
import { InvalidCursor, InvalidInput } from '../../errors/input.ts'
import { isTooLongToNormalise, RAW_FACTOR } from '../../names.ts'

/*
 * The limit of every text and list of the input, by the name of its field or argument, or by its schema
 * coordinate if one name has several limits. Text limits are those of the domains, in bytes or characters,
 * which the domains check after NFC. This check runs before anything else reads the text, and so allows
 * RAW_FACTOR times as many bytes. List limits are numbers of items, with the same factor.
 */

/** Maximum length of an ID. All ids consist of a prefix and 32 digits. */
const MAX_ID_LENGTH = 64

const texts: Record<string, number> = {
  after: 8192,
  before: 8192,
  color: 16,
  column: 255,
  comment: 10_000,
  description: 10_000,
  email: 254,
  idempotencyKey: 255,
  mediaType: 255,
  name: 255,
  password: 250,
  path: 2700,
  pathGlob: 1000,
  pathRegex: 1000,
  query: 1000,
  relativePath: 2700,
  sha256: 64,
  slug: 63,
  table: 255,
  token: 128,
  // A hint: text that is no media type is ignored, however long it is.
  'CreateUploadInput.mediaType': Number.POSITIVE_INFINITY,
  // With createParents the name may be a path.
  'CreateFolderInput.name': 2700,
  'EntryFilter.nameContains': 20_000,
  'EntryFilter.pathPrefix': 20_000,
  'Workspace.tags.nameContains': 256,
  // Limits of list items. Tags have 64 characters of up to 4 bytes.
  'EntryFilter.mediaTypes': 255,
  add: 256,
  allOf: 256,
  anyOf: 256,
  noneOf: 256,
  remove: 256,
  tags: 256,
}

const lists: Record<string, number> = {
  actions: 100,
  actorIds: 100,
  columns: 100,
  createdBy: 100,
  entries: 100,
  ids: 100,
  kinds: 100,
  mediaTypes: 100,
  scopes: 100,
  status: 100,
  uploads: 100,
  allOf: 100,
  anyOf: 100,
  noneOf: 100,
  add: 50,
  remove: 50,
  tags: 50,
}

/** Ids whose form is checked first: an id of another form matches nothing, and is no error. */
const idsCheckedByForm = ['Query.node.id', 'Query.nodes.ids']

/** Scalars that check their own limits. */
const bounded = [
  'Boolean',
  'ByteCount',
  'DateTime',
  'Float',
  'Int',
  'JSONObject',
  'SyncCursor',
  'URL',
]

/** The schema coordinate of a value, as owner and name. */
type Coordinate = { owner: string; name: string }

const limitIn = (table: Record<string, number>, { owner, name }: Coordinate) =>
  table[`${owner}.${name}`] ?? table[name]

/** Returns which limit of a field or argument is not declared, or null if all are. */
export function missingLimit(type: GraphQLInputType, at: Coordinate): string | null {
  if (isNonNullType(type)) return missingLimit(type.ofType, at)
  const coordinate = `${at.owner}.${at.name}`
  if (isListType(type))
    return limitIn(lists, at) === undefined
      ? `${coordinate} has no maximum number of items`
      : missingLimit(type.ofType, at)
  if (!isScalarType(type) || bounded.includes(type.name)) return null
  if (type.name === 'ID' || limitIn(texts, at) !== undefined) return null
  return `${coordinate} has no maximum length`
}

/**
 * Checks the length of every text and list in the arguments of a field. Error paths start inside a mutation's
 * `input`, as those of the domains do. Throws InvalidInput, NotFound for an id, or InvalidCursor for a
 * cursor.
 */
export function checkArguments(args: object, { parentType, fieldName }: GraphQLResolveInfo) {
  const field = parentType.getFields()[fieldName]
  for (const { name, type } of field?.args ?? []) {
    const value: unknown = args[name as keyof typeof args]
    const path = name === 'input' ? [] : [name]
    if (value != null)
      checkValue(value, type, { owner: `${parentType.name}.${fieldName}`, name, path })
  }
}

/** Checks the fields of an input object as checkArguments does. Unknown fields are ignored. */
export function checkFields(value: object, type: GraphQLInputType, path: string[] = []) {
  if (!isInputObjectType(type)) return
  const fields = type.getFields()
  for (const [name, inner] of Object.entries(value)) {
    const field = inner == null ? undefined : fields[name]
    if (field) checkValue(inner, field.type, { owner: type.name, name, path: [...path, name] })
  }
}

type InputPosition = Coordinate & { path: string[] }

function checkValue(value: unknown, type: GraphQLInputType, at: InputPosition): void {
  if (isNonNullType(type)) checkValue(value, type.ofType, at)
  else if (isListType(type)) checkList(value, type.ofType, at)
  else if (isInputObjectType(type)) checkFields(value as object, type, at.path)
  else if (type.name === 'ID') checkId(value, at)
  else if (type.name === 'String') checkText(value, limitIn(texts, at) ?? 0, at, lengthErrorOf(at))
}

function checkList(value: unknown, items: GraphQLInputType, at: InputPosition) {
  if (!Array.isArray(value)) return
  const maxItems = limitIn(lists, at) ?? 0
  if (value.length > RAW_FACTOR * maxItems)
    throw new InvalidInput({
      path: at.path,
      message: `${value.length} items (limit ${maxItems})`,
    })
  const isOfObjects = isInputObjectType(isNonNullType(items) ? items.ofType : items)
  for (const [i, item] of value.entries())
    if (item != null)
      checkValue(item, items, isOfObjects ? { ...at, path: [...at.path, String(i)] } : at)
}

/**
 * Rejects ids without a character: clients send them by mistake, for an id that they do not have yet, and
 * neither "not given" nor "not found" would be right.
 */
function checkId(value: unknown, at: InputPosition) {
  if (typeof value === 'string' && !/\S/.test(value))
    throw new InvalidInput({ path: at.path, message: 'an id must not be empty' })
  if (!idsCheckedByForm.includes(`${at.owner}.${at.name}`))
    checkText(value, MAX_ID_LENGTH, at, notFound)
}

type LengthError = (at: InputPosition, limit: number, text: string) => DomainError

function checkText(value: unknown, limit: number, at: InputPosition, createError: LengthError) {
  if (typeof value === 'string' && isTooLongToNormalise(value, limit))
    throw createError(at, limit, value)
}

const tooLong: LengthError = ({ path }, limit, text) =>
  new InvalidInput({
    path,
    message: `${Buffer.byteLength(text)} bytes (limit ${limit})`,
  })

const lengthErrorOf = ({ name }: Coordinate) =>
  ['after', 'before'].includes(name) ? invalidCursor : tooLong

const notFound: LengthError = ({ path }, limit, text) =>
  new NotFound(text.slice(0, limit)).at(...path)

const invalidCursor: LengthError = () => new InvalidCursor()
