import type { FuzzServer } from './fuzz-server.ts'
import { checkResult } from './verify-answer.ts'
import { sendRequest } from './wire.ts'

/** Sends a GraphQL request and returns the checked result. */
export async function query(
  server: FuzzServer,
  document: string,
  variables: Record<string, unknown> = {},
) {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ query: document, variables })
  return checkResult(await sendRequest(server, { method: 'POST', path: '/graphql', headers, body }))
}
