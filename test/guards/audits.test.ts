import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestServer, type TestServer } from '../support/test-server.ts'

let holdall: TestServer
beforeAll(async () => {
  holdall = await startTestServer()
})
afterAll(() => holdall[Symbol.asyncDispose]())

/** The audits know nothing of us: they come without a token, so they bring the header that CSRF prevention asks for. */
const fetchFn = (url: string, init: RequestInit = {}) => {
  const headers = new Headers(init.headers)
  headers.set('graphql-require-preflight', '1')
  return fetch(url, { ...init, headers })
}

describe('GraphQL over HTTP, by the audits of graphql-http', () => {
  const audits = serverAudits({ url: () => `${holdall.url}/graphql`, fetchFn })

  test('there are 61 of them', () => expect(audits).toHaveLength(61))

  test.each(audits)('$id $name', async ({ fn }) => {
    const result = await fn()
    expect(result.status, 'reason' in result ? result.reason : '').toBe('ok')
  })
})
