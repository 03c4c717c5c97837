import DataLoader from 'dataloader'
import { type IdPrefix, idPrefix } from '../database/ids.ts'
import { Forbidden, InvalidInput, NotFound } from '../errors.ts'
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { listCost } from './costs.ts'

type Row = { id: string }
type Load<R> = (ids: readonly string[], context: Context) => Promise<(R | null | undefined)[]>
type NodeType = { name: string; load: Load<Row> }

const nodeTypes = new Map<IdPrefix, NodeType>()

/** Anything with an id. */
export const Node = builder.interfaceRef<Row>('Node').implement({
  resolveType: ({ id }) => nodeTypeOf(id)?.name,
  fields: (t) => ({ id: t.exposeID('id') }),
})

/** What each request has loaded so far. */
const loaded = new WeakMap<Context, { clearAll: () => unknown }[]>()

/** Before something is changed: what was loaded before may not be so after. */
export const clearLoaders = (context: Context) => {
  for (const loads of loaded.get(context) ?? []) loads.clearAll()
}

/**
 * One batch and one cache for each request: the way to a row by its id from inside a type.
 * The ids come from rows that were authorised, so `load` asks nothing about the viewer.
 */
export function loader<R>(load: Load<R>) {
  const loaders = new WeakMap<Context, DataLoader<string, R | null>>()

  function loadsOf(context: Context) {
    const existing = loaders.get(context)
    if (existing) return existing
    const loads = new DataLoader<string, R | null>(async (ids) => {
      const rows = await load(ids, context)
      return rows.map((row) => row ?? null)
    })
    loaders.set(context, loads)
    loaded.set(context, [...(loaded.get(context) ?? []), loads])
    return loads
  }

  const loadOne = (context: Context, id: string): Promise<R | null> => loadsOf(context).load(id)
  /** What is at hand need not be asked for. */
  const prime = (context: Context, id: string, row: R) => void loadsOf(context).prime(id, row)
  return Object.assign(loadOne, { prime })
}

/** Makes ids of `prefix` answer to node(id:). `load` gives only what the viewer may see: null in the place of the rest. */
export function nodeType<R extends Row>(prefix: IdPrefix, name: string, load: Load<R>) {
  nodeTypes.set(prefix, { name, load })
}

/** For node(id:): what is not there, or not the viewer's to see, is null; a fault stays a fault. */
export const nullIfDenied = <T>(asked: Promise<T>): Promise<T | null> =>
  asked.catch((error: unknown) => {
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
      const own = ids.filter((id) => nodeTypeOf(id) === type)
      return own.length > 0 ? type.load(own, context) : []
    }),
  )
  const byId = new Map(found.flat().map((row) => [row?.id, row]))
  return ids.map((id) => byId.get(id) ?? null)
})

builder.queryField('node', (t) =>
  t.field({
    type: Node,
    nullable: true,
    description: 'Anything by its id. Null for what does not exist or is not yours to see.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_, { id }, context) => loadNode(context, id),
  }),
)

builder.queryField('nodes', (t) =>
  t.field({
    type: [Node],
    nullable: { list: false, items: true },
    description: 'At most 100 at once; null in the place of each that is not there.',
    complexity: ({ ids }) => listCost(ids.length),
    args: { ids: t.arg.idList({ required: true }) },
    resolve: (_, { ids }, context) => {
      if (ids.length > 100) throw new InvalidInput({ path: ['ids'], message: 'at most 100 ids' })
      return Promise.all(ids.map((id) => loadNode(context, id)))
    },
  }),
)
