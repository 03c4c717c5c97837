import { setImmediate as breathe } from 'node:timers/promises'
import { type Edge, type List, type Page, type PageRequest, readPage } from './keyset.ts'
import { openBudget, type WorkBudget } from './work-budget.ts'

/** What is looked at for one page, at most; the time is that of the request's budget. */
export const sieveLimits = { rows: 200_000 }

/** What was found on a way: the rows that the list keeps, the last row looked at, and whether the way goes on behind it. */
type Look<R> = { kept: Edge<R>[]; last: Edge<R> | null; more: boolean }

/**
 * One page of a list that keeps only some of its rows. Where the limits end the search before the page is full, it says that
 * there is more, and its cursor goes on behind what was looked at. Throws InvalidCursor.
 */
export async function readFilteredPage<R extends object>(
  list: List<R>,
  span: PageRequest,
): Promise<Page<R>> {
  const size = span.last ?? span.first
  const { kept, last, more } = await look(list, span, size + 1)
  const isFull = kept.length > size
  const edges = kept.slice(0, size)
  const near = edges[0]?.cursor ?? null
  const far = (more && !isFull ? last : edges.at(-1))?.cursor ?? null
  if (span.last == null) {
    const around = { hasNextPage: isFull || more, hasPreviousPage: span.after != null }
    return { edges, ...around, startCursor: near, endCursor: far }
  }
  const around = { hasNextPage: span.before != null, hasPreviousPage: isFull || more }
  return { edges: edges.reverse(), ...around, startCursor: far, endCursor: near }
}

/** How many rows the list keeps; where the limits end the search, how many of those up to there. */
export async function countKept<R extends object>(list: List<R>): Promise<number> {
  const { kept } = await look(list, { first: 1 }, Number.POSITIVE_INFINITY)
  return kept.length
}

async function look<R extends object>(
  list: List<R>,
  span: PageRequest,
  enough: number,
): Promise<Look<R>> {
  const budget = list.budget ?? openBudget()
  const found: Look<R> = { kept: [], last: null, more: false }
  let seen = 0
  for await (const { edges, more } of steps(list, span, budget))
    for (const [i, edge] of edges.entries()) {
      found.last = edge
      found.more = more || i + 1 < edges.length
      if (list.keep?.(edge.node)) found.kept.push(edge)
      seen += 1
      const isOver = seen >= sieveLimits.rows || budget.isSpent()
      if (isOver || found.kept.length >= enough) return found
    }
  return found
}

/** The rows of a span in the order of the way, in steps that grow while they are quick; others breathe in between. */
async function* steps<R extends object>(
  list: List<R>,
  { after, before, ...span }: PageRequest,
  budget: WorkBudget,
) {
  const [forward, bounds] = [span.last == null, { after, before }]
  // One row is looked at in any case: so each page gets on.
  for (let size = budget.isSpent() ? 1 : 100; ; ) {
    const began = performance.now()
    const page = await readPage(list, {
      ...(forward ? { first: size } : { last: size }),
      ...bounds,
    })
    const more = forward ? page.hasNextPage : page.hasPreviousPage
    size = nextSize(size, performance.now() - began)
    yield { edges: forward ? page.edges : page.edges.toReversed(), more }
    if (!more) return
    if (forward) bounds.after = page.endCursor
    else bounds.before = page.startCursor
    await breathe()
  }
}

function nextSize(size: number, tookMs: number): number {
  if (tookMs < 50) return Math.min(size * 4, 5000)
  return tookMs > 200 ? Math.max(100, Math.floor(size / 4)) : size
}
