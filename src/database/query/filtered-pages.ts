import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import { type Edge, type List, type Page, type PageRequest, readPage } from './keyset.ts'
import { createBudget, type WorkBudget } from './work-budget.ts'

/** Maximum number of rows to scan for one page; the time is limited by the request's budget. */
export const scanLimits = { rows: 200_000 }

/** The matching rows, the last row that was scanned, and whether more rows follow it. */
type Scan<R> = { matches: Edge<R>[]; last: Edge<R> | null; more: boolean }

/**
 * Returns one page of a list with a postFilter. If the limits end the scan before the page is full, the page
 * reports that there is more, and its end cursor points to the last scanned row. Throws InvalidCursor.
 */
export async function readFilteredPage<R extends object>(
  list: List<R>,
  span: PageRequest,
): Promise<Page<R>> {
  const size = span.last ?? span.first
  const { matches, last, more } = await scan(list, span, size + 1)
  const isFull = matches.length > size
  const edges = matches.slice(0, size)
  const near = edges[0]?.cursor ?? null
  const far = (more && !isFull ? last : edges.at(-1))?.cursor ?? null
  if (span.last == null) {
    const around = { hasNextPage: isFull || more, hasPreviousPage: span.after != null }
    return { edges, ...around, startCursor: near, endCursor: far }
  }
  const around = { hasNextPage: span.before != null, hasPreviousPage: isFull || more }
  return { edges: edges.reverse(), ...around, startCursor: far, endCursor: near }
}

/** Returns the number of matching rows; if the limits end the scan, the number found until then. */
export async function countMatches<R extends object>(list: List<R>): Promise<number> {
  const { matches } = await scan(list, { first: 1 }, Number.POSITIVE_INFINITY)
  return matches.length
}

async function scan<R extends object>(
  list: List<R>,
  span: PageRequest,
  maxMatches: number,
): Promise<Scan<R>> {
  const budget = list.budget ?? createBudget()
  const found: Scan<R> = { matches: [], last: null, more: false }
  let scanned = 0
  for await (const { edges, more } of readBatches(list, span, budget))
    for (const [i, edge] of edges.entries()) {
      found.last = edge
      found.more = more || i + 1 < edges.length
      if (list.postFilter?.(edge.node)) found.matches.push(edge)
      scanned += 1
      const isOver = scanned >= scanLimits.rows || budget.isSpent()
      if (isOver || found.matches.length >= maxMatches) return found
    }
  return found
}

/**
 * Reads rows in scan order, in batches that grow while they are fast, and yields to the event loop in
 * between.
 */
async function* readBatches<R extends object>(
  list: List<R>,
  { after, before, ...span }: PageRequest,
  budget: WorkBudget,
) {
  const [forward, bounds] = [span.last == null, { after, before }]
  // At least one row is scanned, so that each page makes progress.
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
    await yieldToEventLoop()
  }
}

function nextSize(size: number, tookMs: number): number {
  if (tookMs < 50) return Math.min(size * 4, 5000)
  return tookMs > 200 ? Math.max(100, Math.floor(size / 4)) : size
}
