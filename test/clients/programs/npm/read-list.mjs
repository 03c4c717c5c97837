// The document that both caches read: a folder with a file and a folder, and an error with the id of the folder.
import { readFileSync } from 'node:fs'

export const [url, token, folderId] = process.argv.slice(2)
export const headers = { authorization: `Bearer ${token}` }
const json = (path) => JSON.parse(readFileSync(path, 'utf8'))
export const possibleTypes = json('possibleTypes.json')
export const keylessTypes = json('keylessTypes.json')
export const introspection = json('introspection.json')
export const list = `
  query List($id: ID!) {
    node(id: $id) {
      __typename
      id
      ... on Entry { name }
      ... on Folder { children(first: 10) { totalCount edges { cursor node { __typename id ... on Entry { name } ... on File { size } } } pageInfo { hasNextPage endCursor } } }
    }
    viewer { user { id name } workspaces(first: 5) { nodes { id name usage { id quotaBytes } } } }
  }`
export const rename = `
  mutation Rename($input: UpdateEntryInput!) {
    updateEntry(input: $input) {
      __typename
      ... on UpdateEntryPayload { entry { __typename id name } }
      ... on NotFoundError { id code message }
      ... on UserError { code message }
    }
  }`
