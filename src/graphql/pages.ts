import type { InterfaceRef, ObjectRef } from '@pothos/core'
import { countKept, readFilteredPage } from '../database/query/filtered-pages.ts'
import { countList, type List, type PageRequest, readPage } from '../database/query/keyset.ts'
import { BadPageSize } from '../errors.ts'
import { builder, type SchemaTypes } from './builder.ts'
import { defaultPageSize, maxPageSize } from './costs.ts'

type PageArgs = {
  first?: number | null | undefined
  last?: number | null | undefined
  after?: string | null | undefined
  before?: string | null | undefined
}

builder.globalConnectionField('totalCount', (t) =>
  t.int({
    description: 'Of the whole list, not of this page. Counted when asked for.',
    resolve: ({ totalCount }) => totalCount(),
  }),
)

/**
 * What a connection field answers: the page of `list` that the arguments ask for, `defaultSize` rows where they name no
 * number. Throws BadPageSize unless there is one of first and last, or neither, from 1 to 100; InvalidCursor as readPage.
 */
export async function page<R extends object>(
  args: PageArgs,
  list: List<R>,
  { defaultSize = defaultPageSize } = {},
) {
  const span = spanOf(args, defaultSize)
  const { edges, ...pageInfo } = await (list.keep
    ? readFilteredPage(list, span)
    : readPage(list, span))
  // Where the time of the request is over, a count may come less far than the page.
  const countedKept = async () => Math.max(await countKept(list), edges.length)
  return { edges, pageInfo, totalCount: () => (list.keep ? countedKept() : countList(list)) }
}

/** The part of a list that arguments ask for; throws BadPageSize. */
export function spanOf(
  { first, last, after, before }: PageArgs,
  defaultSize = defaultPageSize,
): PageRequest {
  if (first != null && last != null) {
    throw new BadPageSize(`give first or last, not both; each is from 1 to ${maxPageSize}`).at(
      'last',
    )
  }
  if (last != null) return { last: checked('last', last), after, before }
  return { first: checked('first', first ?? defaultSize), after, before }
}

function checked(name: string, size: number) {
  if (size >= 1 && size <= maxPageSize) return size
  throw new BadPageSize(`${name} is from 1 to ${maxPageSize}, not ${size}`).at(name)
}

type NodeRef<Shape> = ObjectRef<SchemaTypes, Shape> | InterfaceRef<SchemaTypes, Shape>

/** By their names: fields are declared lazily, and whichever comes first makes the types. */
const made = new Map<string, unknown>()

/**
 * The types of a list of `type`, for the second and third argument of t.connection: EntryConnection and EntryEdge for
 * the name Entry. Made once for each name, so that every field that lists entries answers with the same.
 */
export function connectionOf<Shape>(type: NodeRef<Shape>, name: string) {
  const types = (made.get(name) as Connection<Shape> | undefined) ?? makeConnection(type, name)
  made.set(name, types)
  return types
}
type Connection<Shape> = ReturnType<typeof makeConnection<Shape>>

function makeConnection<Shape>(type: NodeRef<Shape>, name: string) {
  const edge = builder.edgeObject({ type, name: `${name}Edge` })
  return [builder.connectionObject({ type, name: `${name}Connection` }, edge), edge] as const
}
