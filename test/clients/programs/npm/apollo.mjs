// Reads a list through Apollo Client's cache, and prints what the cache then has: URL TOKEN FOLDER_ID.
import { ApolloClient, gql, HttpLink, InMemoryCache } from '@apollo/client'
import { folderId, headers, keylessTypes, list, possibleTypes, rename, url } from './read-list.mjs'

const cache = new InMemoryCache({
  possibleTypes,
  typePolicies: Object.fromEntries(keylessTypes.map((name) => [name, { keyFields: false }])),
})
const client = new ApolloClient({ cache, link: new HttpLink({ uri: url, headers }) })
const query = { query: gql(list), variables: { id: folderId } }
await client.query(query)
const missing = { entry: { id: 'fld_00000000000000000000000000000000' }, name: 'x' }
await client.mutate({ mutation: gql(rename), variables: { input: missing } })
const input = { entry: { id: folderId }, name: 'renamed' }
await client.mutate({ mutation: gql(rename), variables: { input } })
const { node } = cache.readQuery(query)
const names = node.children.edges.map((edge) => edge.node.name)
const errors = Object.keys(cache.extract()).filter((key) => key.includes('Error'))
console.log(JSON.stringify({ name: node.name, names, errors }))
