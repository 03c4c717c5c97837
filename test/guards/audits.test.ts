import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestServer, type TestServer } from '../support/servers/test-server.ts'

let holdall: TestServer
beforeAll(async () => {
  holdall = await startTestServer()
})
afterAll(() => holdall[Symbol.asyncDispose]())

/** The audits send no token, so they need the header that CSRF prevention requires. */
const fetchFn = (url: string, init: RequestInit = {}) => {
  const headers = new Headers(init.headers)
  headers.set('graphql-require-preflight', '1')
  return fetch(url, { ...init, headers })
}

describe('passes the audits of graphql-http (GraphQL over HTTP)', () => {
  const audits = serverAudits({ url: () => `${holdall.url}/graphql`, fetchFn })

  test('runs all 61 audits', () => expect(audits).toHaveLength(61))

  test.each(audits)('$id $name', async ({ fn }) => {
    const result = await fn()
    expect(result.status, 'reason' in result ? result.reason : '').toBe('ok')
  })
})
