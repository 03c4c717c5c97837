import { setTimeout as sleep } from 'node:timers/promises'
import type { TestServer } from '../support/test-server.ts'
import type { Journal } from './journal.ts'

/** So long a client waits for an answer before it asks again. */
const TIMEOUT_MS = 2_000

/** The statuses that the README names for these endpoints, and 502 of the proxy, which has no body. */
const documented = {
  graphql: [200, 503, 507],
  POST: [201, 423, 429, 503, 507],
  HEAD: [200, 410, 423],
  PATCH: [204, 409, 410, 423, 429, 460, 503, 507],
}

/** One that is not answered in time is as one whose connection broke: what became of it is not known. */
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

/** The data of an operation; null where it is not known whether it was done, or it was refused for now. */
export async function ask(
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

/** Asks until there is an answer; throws when there has been none for a minute. */
export async function untilAnswered<T>(what: string, act: () => Promise<T | null>): Promise<T> {
  const end = performance.now() + 60_000
  while (performance.now() < end) {
    const answer = await act()
    if (answer !== null) return answer
    await sleep(100)
  }
  throw new Error(`${what} was not answered for a minute`)
}
