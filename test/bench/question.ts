import type { Request } from './wire.ts'

/** The benchmark clients act as the owner. */
export const ADMIN_TOKEN = 'the-owner-of-the-benchmark-server'

/** Builds a GraphQL request to the server at `url`. */
export const graphqlRequest = (url: string, query: string, variables: object = {}): Request => ({
  url: `${url}/graphql`,
  method: 'POST',
  headers: { Authorization: `Bearer ${ADMIN_TOKEN}`, 'Content-Type': 'application/json' },
  body: JSON.stringify({ query, variables }),
})
