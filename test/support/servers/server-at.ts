import type { TestServer } from './test-server.ts'

/**
 * Returns the client part of a TestServer for a server process at `url`. `token` is the default token
 * of its requests; a request may give another, or null for none.
 */
export function serverAt(url: string, token: string): TestServer {
  const http: TestServer['http'] = (path, { token: other = token, headers, ...init } = {}) => {
    const authorization = other === null ? {} : { authorization: `Bearer ${other}` }
    const all = { ...authorization, ...headers }
    return fetch(new URL(path, url), { redirect: 'manual', ...init, headers: all })
  }
  const ask: TestServer['ask'] = async (query, variables = {}) => {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ query, variables })
    const answer = await holdall.http('/graphql', { method: 'POST', headers, body })
    const { data, errors } = (await answer.json()) as any
    if (errors) throw new Error(JSON.stringify(errors))
    return data
  }
  const holdall = { url, token, http, ask } as TestServer
  return holdall
}
