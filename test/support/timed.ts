import { expect } from 'vitest'

/** Options of a test of time ratios: a busy machine may distort them twice in a row. */
export const timingRetries = { retry: 2 }

type Asks = { ask: (query: string) => Promise<unknown> }
/** Requests whose median is the unit of time. */
const SAMPLES = 9

/**
 * Returns the median time of a trivial request in milliseconds. What must be fast is a multiple of it,
 * because it grows with the load of the machine.
 */
async function requestMs({ ask }: Asks): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < SAMPLES; i++) {
    const startedAt = performance.now()
    await ask('{ __typename }')
    times.push(performance.now() - startedAt)
  }
  return Math.max(1, times.sort((a, b) => a - b)[SAMPLES >> 1] ?? 0)
}

/** Expects that `ms` milliseconds are less than the time of this many trivial requests, now. */
export async function expectFast(server: Asks, ms: number, requests: number): Promise<void> {
  expect(ms).toBeLessThan(requests * (await requestMs(server)))
}
