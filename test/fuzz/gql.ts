import type { Ground } from './fuzz-server.ts'
import { soundResult } from './verify-answer.ts'
import { ask } from './wire.ts'

/** POSTs GraphQL; the result, judged. */
export async function query(
  ground: Ground,
  document: string,
  variables: Record<string, unknown> = {},
) {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ query: document, variables })
  return soundResult(await ask(ground, { method: 'POST', path: '/graphql', headers, body }))
}
