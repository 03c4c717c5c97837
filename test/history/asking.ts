import { setTimeout as sleep } from 'node:timers/promises'
import type { TestServer } from '../support/servers/test-server.ts'
import type { Journal } from './journal.ts'

/** How long a client waits for a response before it repeats the request. */
const TIMEOUT_MS = 2_000

/** The statuses that the README documents for these endpoints; the proxy's own 502 has no body. */
const documented = {
  graphql: [200, 503, 507],
  POST: [201, 423, 429, 503, 507],
  HEAD: [200, 410, 423],
  PATCH: [204, 409, 410, 423, 429, 460, 503, 507],
}

/** Sends a request; returns null if the connection broke or timed out, so that its effect is unknown. */
export async function request(
  { holdall, journal }: { holdall: TestServer; journal: Journal },
  endpoint: keyof typeof documented,
  path: string,
  init: Parameters<TestServer['http']>[1] = {},
): Promise<{ status: number; headers: Headers; text: string } | null> {
  journal.count('requests')
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const { status, headers, ...response } = await withText(holdall, path, { ...init, signal })
    const isOfProxy = status === 502 && response.text === ''
    if (isOfProxy) return null
    if (!documented[endpoint].includes(status))
      journal.violation(
        `${endpoint} ${path} was answered ${status}: ${response.text.slice(0, 300)}`,
      )
    return { status, headers, text: response.text }
  } catch {
    journal.count('requests without an answer')
    return null
  }
}

async function withText(
  holdall: TestServer,
  path: string,
  init: Parameters<TestServer['http']>[1],
) {
  const response = await holdall.http(path, init)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

/** Returns the data of an operation; null if its effect is unknown or it was rejected temporarily. */
export async function execute(
  at: { holdall: TestServer; journal: Journal },
  query: string,
  variables: object,
): Promise<any> {
  const answer = await request(at, 'graphql', '/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query, variables }),
  })
  if (!answer) return null
  const { data, errors = [] } = JSON.parse(answer.text) as { data?: any; errors?: any[] }
  for (const { message, extensions } of errors) {
    if (!['UNAVAILABLE', 'RATE_LIMITED', 'STORAGE_ERROR'].includes(extensions?.code))
      at.journal.violation(`GraphQL was answered ${extensions?.code}: ${message}`)
  }
  return errors.length === 0 ? data : null
}

/** Repeats `act` until it returns a result; throws after a minute. */
export async function untilAnswered<T>(what: string, act: () => Promise<T | null>): Promise<T> {
  const end = performance.now() + 60_000
  while (performance.now() < end) {
    const answer = await act()
    if (answer !== null) return answer
    await sleep(100)
  }
  throw new Error(`${what} was not answered for a minute`)
}
