import type { TestServer } from './test-server.ts'

/**
 * All that the clients of the tests use of a house, for a server that runs at `url` in a process of its own. `token` is the one of
 * whoever asks, unless a request says another; null: none.
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
