import type { InterfaceRef } from '@pothos/core'
import DataLoader from 'dataloader'
import { type IdPrefix, idPrefix, parseIdInWorkspace } from '../database/ids.ts'
import { Forbidden, NotFound } from '../errors/access.ts'
import { InvalidInput } from '../errors/input.ts'
import { builder, type SchemaTypes } from './builder.ts'
import type { Context } from './context.ts'
import { listCost } from './limits/costs.ts'

type Row = { id: string }
type Load<R> = (ids: readonly string[], context: Context) => Promise<(R | null | undefined)[]>
type NodeType = { name: string; load: Load<Row> }

/** Maximum number of ids in Query.nodes. */
const MAX_IDS = 100

const nodeTypes = new Map<IdPrefix, NodeType>()

export const Node = builder.interfaceRef<Row>('Node').implement({
  description: 'An object with an id that is unique in the whole server.',
  resolveType: ({ id }) => nodeTypeOf(id)?.name,
  fields: (t) => ({ id: t.exposeID('id', { description: 'The id of the object.' }) }),
})

/** Node, for types whose rows have no id: they define the field id themselves. */
export const NodeInWorkspace = Node as unknown as InterfaceRef<SchemaTypes, object>

/** The loaders that each request has used. */
const loadersInUse = new WeakMap<Context, { clearAll: () => unknown }[]>()

/**
 * Clears the loaders of a request. Every mutation calls it, because rows loaded before it may be stale after
 * it.
 */
export const clearLoaders = (context: Context) => {
  for (const dataLoader of loadersInUse.get(context) ?? []) dataLoader.clearAll()
}

/**
 * Returns a function that loads a row by its id, with one batch and one cache per request.
 * The ids come from rows that were already authorised, so `load` does not check the viewer.
 */
export function loader<R>(load: Load<R>) {
  const loaders = new WeakMap<Context, DataLoader<string, R | null>>()

  function loaderOf(context: Context) {
    const existing = loaders.get(context)
    if (existing) return existing
    const dataLoader = new DataLoader<string, R | null>(async (ids) => {
      const rows = await load(ids, context)
      return rows.map((row) => row ?? null)
    })
    loaders.set(context, dataLoader)
    loadersInUse.set(context, [...(loadersInUse.get(context) ?? []), dataLoader])
    return dataLoader
  }

  const loadOne = (context: Context, id: string): Promise<R | null> => loaderOf(context).load(id)
  /** Puts a row that is already known into the cache. */
  const prime = (context: Context, id: string, row: R) => void loaderOf(context).prime(id, row)
  return Object.assign(loadOne, { prime })
}

/** Loads a row that another row refers to with a foreign key. Throws Error if it does not exist. */
export async function loadOrThrow<R>(
  load: (context: Context, id: string) => Promise<R | null>,
  context: Context,
  id: string,
): Promise<R> {
  const row = await load(context, id)
  if (row === null) throw new Error(`${id} does not exist`)
  return row
}

/**
 * Registers a type with node(id:) by its id prefix. `load` must return null for rows that the viewer may not
 * see.
 */
export function nodeType<R extends Row>(prefix: IdPrefix, name: string, load: Load<R>) {
  nodeTypes.set(prefix, { name, load })
}

type LoadInWorkspace<R> = (
  workspaceId: string,
  keys: readonly string[],
  context: Context,
) => Promise<(R | null | undefined)[]>

/**
 * Registers a type whose ids consist of a workspace and a key in it (see idInWorkspace). `load` gets the keys
 * of one workspace, and must throw NotFound or Forbidden if the viewer may not see it.
 */
export function nodeTypeInWorkspace<R extends object>(
  prefix: IdPrefix,
  name: string,
  load: LoadInWorkspace<R>,
) {
  nodeType(prefix, name, async (ids, context) => {
    const parsed = ids.map((id) => ({
      id,
      ...(parseIdInWorkspace(id) ?? { workspaceId: '', key: '' }),
    }))
    const groups = Map.groupBy(parsed, ({ workspaceId }) => workspaceId)
    const found = [...groups].map(async ([workspaceId, group]) => {
      const keys = group.map(({ key }) => key)
      const rows = (await nullIfDenied(load(workspaceId, keys, context))) ?? []
      return group.map(({ id }, i) => rows[i] && { ...rows[i], id })
    })
    return (await Promise.all(found)).flat()
  })
}

/** Returns null instead of NotFound and Forbidden, for node(id:); other errors are rethrown. */
export const nullIfDenied = <T>(result: Promise<T>): Promise<T | null> =>
  result.catch((error: unknown) => {
    if (error instanceof NotFound || error instanceof Forbidden) return null
    throw error
  })

const nodeTypeOf = (id: string) => {
  const prefix = idPrefix(id)
  return prefix ? nodeTypes.get(prefix) : undefined
}

const loadNode = loader<Row>(async (ids, context) => {
  const found = await Promise.all(
    [...nodeTypes.values()].map(async (type) => {
      const idsOfType = ids.filter((id) => nodeTypeOf(id) === type)
      return idsOfType.length > 0 ? type.load(idsOfType, context) : []
    }),
  )
  const byId = new Map(found.flat().map((row) => [row?.id, row]))
  return ids.map((id) => byId.get(id) ?? null)
})

builder.queryField('node', (t) =>
  t.field({
    type: Node,
    nullable: true,
    description:
      'Returns an object by its id, or null if it does not exist or the viewer may not see it.',
    args: { id: t.arg.id({ required: true, description: 'The id of the object.' }) },
    resolve: (_, { id }, context) => loadNode(context, id),
  }),
)

builder.queryField('nodes', (t) =>
  t.field({
    type: [Node],
    nullable: { list: false, items: true },
    description:
      'Returns objects by their ids, in the same order, with null for each that does not exist or that the viewer may not see.',
    complexity: ({ ids }) => listCost(ids.length),
    args: {
      ids: t.arg.idList({
        required: true,
        description: `The ids of the objects, at most ${MAX_IDS}.`,
      }),
    },
    resolve: (_, { ids }, context) => {
      if (ids.length > MAX_IDS) {
        throw new InvalidInput({ path: ['ids'], message: `at most ${MAX_IDS} ids` })
      }
      return Promise.all(ids.map((id) => loadNode(context, id)))
    },
  }),
)
