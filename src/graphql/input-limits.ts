import {
  type GraphQLInputType,
  type GraphQLResolveInfo,
  isInputObjectType,
  isListType,
  isNonNullType,
  isScalarType,
} from 'graphql'
import { type DomainError, InvalidCursor, InvalidInput, NotFound } from '../errors.ts'
import { isBeyondReading, RAW_FACTOR } from '../names.ts'

/*
 * The limit of every text and every list that the API takes, by the name of its field or argument, or by its coordinate where one
 * name stands for several things. Texts: what the domain takes, in bytes or in characters; the domain checks that after NFC. Here
 * four times as many bytes are let through, and nothing has touched a text before that. Lists: items, and the same factor.
 */

/** In the schema's type ID. All ids have one form, a prefix and 32 digits. */
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
  sha256: 64,
  slug: 63,
  table: 255,
  token: 128,
  // The name of a folder may be a path: createParents.
  'CreateFolderInput.name': 2700,
  'EntryFilter.nameContains': 20_000,
  'EntryFilter.pathPrefix': 20_000,
  'Workspace.tags.nameContains': 256,
  // Of the items of lists. Tags have 64 characters, not bytes.
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
  entryIds: 100,
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

/** Ids that are held against their form before all else: one of another form is of nothing, and no error. */
const idsReadByForm = ['Query.node.id', 'Query.nodes.ids']

/** Scalars that know their own limits. */
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

/** Where a value stands: its coordinate in the schema, and its own name. */
type Place = { owner: string; name: string }

const limitIn = (table: Record<string, number>, { owner, name }: Place) =>
  table[`${owner}.${name}`] ?? table[name]

/** What has no declared limit among the types of one field or argument; null where all has one. */
export function missingLimit(type: GraphQLInputType, place: Place): string | null {
  if (isNonNullType(type)) return missingLimit(type.ofType, place)
  const coordinate = `${place.owner}.${place.name}`
  if (isListType(type))
    return limitIn(lists, place) === undefined
      ? `${coordinate} has no maximum number of items`
      : missingLimit(type.ofType, place)
  if (!isScalarType(type) || bounded.includes(type.name)) return null
  if (type.name === 'ID' || limitIn(texts, place) !== undefined) return null
  return `${coordinate} has no maximum length`
}

/**
 * Refuses the arguments of a field where a text or a list is longer than is ever read. Paths begin inside of a mutation's `input`, as
 * those of domains do. Throws InvalidInput; NotFound for an id, InvalidCursor for a cursor.
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

/** The same for the fields of an input type. What is no field of it is left alone. */
export function checkFields(value: object, type: GraphQLInputType, path: string[] = []) {
  if (!isInputObjectType(type)) return
  const fields = type.getFields()
  for (const [name, inner] of Object.entries(value)) {
    const field = inner == null ? undefined : fields[name]
    if (field) checkValue(inner, field.type, { owner: type.name, name, path: [...path, name] })
  }
}

type At = Place & { path: string[] }

function checkValue(value: unknown, type: GraphQLInputType, at: At): void {
  if (isNonNullType(type)) checkValue(value, type.ofType, at)
  else if (isListType(type)) checkList(value, type.ofType, at)
  else if (isInputObjectType(type)) checkFields(value as object, type, at.path)
  else if (type.name === 'ID') checkId(value, at)
  else if (type.name === 'String') checkText(value, limitIn(texts, at) ?? 0, at, refusalOf(at))
}

function checkList(value: unknown, items: GraphQLInputType, at: At) {
  if (!Array.isArray(value)) return
  const most = limitIn(lists, at) ?? 0
  if (value.length > RAW_FACTOR * most)
    throw new InvalidInput({
      path: at.path,
      message: `at most ${most} at once, not ${value.length}`,
    })
  const isOfObjects = isInputObjectType(isNonNullType(items) ? items.ofType : items)
  for (const [i, item] of value.entries())
    if (item != null)
      checkValue(item, items, isOfObjects ? { ...at, path: [...at.path, String(i)] } : at)
}

function checkId(value: unknown, at: At) {
  if (!idsReadByForm.includes(`${at.owner}.${at.name}`))
    checkText(value, MAX_ID_LENGTH, at, notFound)
}

type Refuse = (at: At, limit: number, text: string) => DomainError

function checkText(value: unknown, limit: number, at: At, refuse: Refuse) {
  if (typeof value === 'string' && isBeyondReading(value, limit)) throw refuse(at, limit, value)
}

const tooLong: Refuse = ({ path }, limit, text) =>
  new InvalidInput({
    path,
    message: `${Buffer.byteLength(text)} bytes are too long; at most ${limit}`,
  })

const refusalOf = ({ name }: Place) =>
  ['after', 'before'].includes(name) ? invalidCursor : tooLong

const notFound: Refuse = ({ path }, limit, text) => new NotFound(text.slice(0, limit)).at(...path)

const invalidCursor: Refuse = () => new InvalidCursor()
