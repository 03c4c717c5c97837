import type { InterfaceRef, ObjectRef } from '@pothos/core'
import { countMatches, readFilteredPage } from '../database/query/filtered-pages.ts'
import { countList, type List, type PageRequest, readPage } from '../database/query/keyset.ts'
import { BadPageSize } from '../errors/input.ts'
import { builder, type SchemaTypes } from './builder.ts'
import { defaultPageSize, maxPageSize } from './limits/costs.ts'

type PageArgs = {
  first?: number | null | undefined
  last?: number | null | undefined
  after?: string | null | undefined
  before?: string | null | undefined
}

builder.globalConnectionField('totalCount', (t) =>
  t.int({
    description: 'Number of objects in the whole list, counted only when requested.',
    resolve: ({ totalCount }) => totalCount(),
  }),
)

/**
 * Returns the requested page of `list` for a connection field, with `defaultSize` rows if the arguments give
 * no size. Throws BadPageSize as parsePageArgs does, and InvalidCursor as readPage does.
 */
export async function page<R extends object>(
  args: PageArgs,
  list: List<R>,
  { defaultSize = defaultPageSize } = {},
) {
  const request = parsePageArgs(args, defaultSize)
  const { edges, ...pageInfo } = await (list.postFilter
    ? readFilteredPage(list, request)
    : readPage(list, request))
  // A count that runs out of time may be smaller than the page.
  const countedKept = async () => Math.max(await countMatches(list), edges.length)
  return { edges, pageInfo, totalCount: () => (list.postFilter ? countedKept() : countList(list)) }
}

/**
 * Parses the arguments of a connection field. Throws BadPageSize if both first and last are given, or if the
 * size is not from 1 to 100.
 */
export function parsePageArgs(
  { first, last, after, before }: PageArgs,
  defaultSize = defaultPageSize,
): PageRequest {
  if (first != null && last != null) {
    throw new BadPageSize('first and last cannot be combined').at('last')
  }
  if (last != null) return { last: checkSize('last', last), after, before }
  return { first: checkSize('first', first ?? defaultSize), after, before }
}

function checkSize(name: string, size: number) {
  if (size >= 1 && size <= maxPageSize) return size
  throw new BadPageSize(`${name} is ${size} (must be from 1 to ${maxPageSize})`).at(name)
}

type NodeRef<Shape> = ObjectRef<SchemaTypes, Shape> | InterfaceRef<SchemaTypes, Shape>

/** Connection types by name: fields are declared lazily, and the first one creates the types. */
const connectionTypes = new Map<string, unknown>()

/**
 * Returns the connection and edge types of a list of `type`, for the second and third argument of
 * t.connection: EntryConnection and EntryEdge for the name Entry. All fields with the same name share these
 * types.
 */
export function connectionOf<Shape>(type: NodeRef<Shape>, name: string) {
  const existing = connectionTypes.get(name) as Connection<Shape> | undefined
  const types = existing ?? createConnection(type, name)
  connectionTypes.set(name, types)
  return types
}
type Connection<Shape> = ReturnType<typeof createConnection<Shape>>

function createConnection<Shape>(type: NodeRef<Shape>, name: string) {
  const edge = builder.edgeObject({
    type,
    name: `${name}Edge`,
    description: `One ${type.name} of a page, with its cursor.`,
  })
  const connection = builder.connectionObject(
    { type, name: `${name}Connection`, description: `One page of a list of ${type.name} objects.` },
    edge,
  )
  return [connection, edge] as const
}
