// Reads a list through graphcache, and prints what the cache then has: URL TOKEN FOLDER_ID.
import { Client, fetchExchange } from '@urql/core'
import { cacheExchange } from '@urql/exchange-graphcache'
import { minifyIntrospectionQuery } from '@urql/introspection'
import { folderId, headers, introspection, keylessTypes, list, rename, url } from './read-list.mjs'

const warnings = []
console.warn = (...words) => warnings.push(words.join(' '))
const cache = cacheExchange({
  schema: minifyIntrospectionQuery(introspection),
  keys: Object.fromEntries(keylessTypes.map((name) => [name, () => null])),
})
const client = new Client({ url, exchanges: [cache, fetchExchange], fetchOptions: { headers } })
const variables = { id: folderId }
const first = await client.query(list, variables).toPromise()
if (first.error) throw first.error
const input = { entry: { id: folderId }, name: 'renamed' }
await client.mutation(rename, { input }).toPromise()
const { data } = await client.query(list, variables, { requestPolicy: 'cache-only' }).toPromise()
const names = data.node.children.edges.map((edge) => edge.node.name)
console.log(JSON.stringify({ name: data.node.name, names, warnings }))
