import type { Request } from './wire.ts'

/** Whoever measures is the owner. */
export const ADMIN_TOKEN = 'nobody-else-is-on-this-machine'

/** A question in GraphQL to the house at `url`. */
export const question = (url: string, query: string, variables: object = {}): Request => ({
  url: `${url}/graphql`,
  method: 'POST',
  headers: { Authorization: `Bearer ${ADMIN_TOKEN}`, 'Content-Type': 'application/json' },
  body: JSON.stringify({ query, variables }),
})
