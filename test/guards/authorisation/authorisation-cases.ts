import { createUpload } from '../../support/client.ts'
import { openStream } from '../../support/network/events.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, OFFSET_TYPE } from '../../support/network/tus.ts'
import type { TestServer } from '../../support/servers/test-server.ts'
import type { Column } from './authorisation-people.ts'
import { mutations, nodes } from './mutation-cases.ts'

/** Result of a request: an error code of GraphQL, or the HTTP status. */
type Result = string | number
/**
 * Tries an operation as an actor. Returns several results if the input can refer to the object in several
 * ways.
 */
export type Case = (holdall: TestServer, column: Column, mayEnter: boolean) => Promise<Result[]>

type Answer = { data?: any; errors?: { extensions?: Record<string, any> }[] | undefined }
const runQuery = (
  holdall: TestServer,
  { token }: Column,
  query: string,
  variables: object,
): Promise<Answer> => holdall.graphql(query, { ...variables }, { token })

const errorsOf = ({ errors }: Answer): Result[] =>
  (errors ?? []).map(({ extensions }) => extensions?.code)

/** Returns the result of a mutation, without fields that would require further permissions. */
function codesOf(answer: Answer): Result[] {
  const { code, results = [] } = answer.data?.answer ?? {}
  const all = [...errorsOf(answer), code, ...results.map(({ error }: any) => error?.code)]
  return all.filter((one) => one != null)
}

/**
 * Creates the case of a mutation. An allowed actor refers to the object in one way only, because the mutation
 * takes effect.
 */
export const mutationCase =
  (name: string, hasResults: boolean): Case =>
  async (holdall, column, mayEnter) => {
    const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
    const results = hasResults ? `... on ${type}Payload { results { error { code } } }` : ''
    const query = `mutation ($input: ${type}Input!) {
      answer: ${name}(input: $input) { __typename ... on UserError { code } ${results} }
    }`
    const inputs = mutations[name]?.inputs({ ...column.place, ...column.own }) ?? []
    const outcomes: Result[] = []
    for (const input of mayEnter ? inputs.slice(0, 1) : inputs) {
      const codes = codesOf(await runQuery(holdall, column, query, { input }))
      outcomes.push(...(codes.length > 0 ? codes : [200]))
    }
    return outcomes
  }

const found = (answer: Answer, thing: unknown): Result[] => {
  const codes = errorsOf(answer)
  if (codes.length > 0) return codes
  return [thing == null ? 404 : 200]
}

export const nodeCase =
  (type: string): Case =>
  async (holdall, column) => {
    const id = nodes[type]?.(column.place)
    const query = `query ($id: ID!) { node(id: $id) { __typename id } }`
    const answer = await runQuery(holdall, column, query, { id })
    return found(answer, answer.data?.node)
  }

export const queryCases: Record<string, Case> = {
  node: nodeCase('File'),
  async nodes(holdall, column) {
    const query = `query ($ids: [ID!]!) { nodes(ids: $ids) { id } }`
    const { fileId, folderId, tagId } = column.place
    const answer = await runQuery(holdall, column, query, { ids: [fileId, folderId, tagId] })
    if (!answer.data?.nodes) return errorsOf(answer)
    return answer.data.nodes.flatMap((node: unknown) => found(answer, node))
  },
  async workspace(holdall, column) {
    const query = `query ($by: WorkspaceBy!) { workspace(by: $by) { id name } }`
    const { workspaceId: id, slug } = column.place
    const [byId, bySlug] = [
      await runQuery(holdall, column, query, { by: { id } }),
      await runQuery(holdall, column, query, { by: { slug } }),
    ]
    return [byId, bySlug].flatMap((answer) => found(answer, answer.data?.workspace))
  },
  async shared(holdall, column) {
    const query = `query ($token: String!) { shared(token: $token) { entry { id } } }`
    const answer = await runQuery(holdall, column, query, { token: column.place.shareToken })
    return found(answer, answer.data?.shared)
  },
  viewer: (holdall, column) => plain(holdall, column, '{ viewer { user { id } } }'),
  serverInfo: (holdall, column) => plain(holdall, column, '{ serverInfo { version } }'),
  serverActivity: (holdall, column) => plain(holdall, column, '{ serverActivity { totalCount } }'),
  rateLimit: (holdall, column) => plain(holdall, column, '{ rateLimit { limit } }'),
}

const plain = async (holdall: TestServer, column: Column, query: string) =>
  found(await runQuery(holdall, column, query, {}), true)

/** Creates the case of a field of a workspace. Members read it through `viewer`, which requires no scope. */
export const workspaceCase =
  (field: string, selection: string): Case =>
  async (holdall, column) => {
    const { workspaceId: id } = column.place
    const isIn = column.role !== null && column.bound !== 'elsewhere'
    const query = isIn
      ? `{ viewer { workspaces(first: 2) { nodes { id field: ${selection} } } } }`
      : `query ($id: ID!) { workspace(by: { id: $id }) { id field: ${selection} } }`
    const answer = await runQuery(holdall, column, query, isIn ? {} : { id })
    const { viewer, workspace } = answer.data ?? {}
    const seen = isIn ? viewer?.workspaces.nodes.find((one: any) => one.id === id) : workspace
    // Access to a field does not depend on whether it is null.
    return found(answer, seen && (seen.field ?? field))
  }

export const subscriptionCase =
  (name: string): Case =>
  async (holdall, { token, place: { workspaceId, uploadId } }) => {
    const fields: Record<string, string> = {
      workspaceChanges: `workspaceChanges(workspaceId: "${workspaceId}") { __typename ... on UserError { code } }`,
      uploadChanged: `uploadChanged(uploadId: "${uploadId}") { __typename }`,
    }
    const headers = { 'graphql-require-preflight': '1' }
    using stream = await openStream(
      holdall,
      `subscription { ${fields[name]} }`,
      {},
      { token, headers },
    )
    const answer: Answer = (await stream.next())?.data ?? {}
    const code = answer.data?.[name]?.code
    return code ? [code] : found(answer, true)
  }

type Knock = { method?: string; headers?: Record<string, string>; body?: string }
const tryEndpoint =
  (path: (column: Column) => string, requestFor: (column: Column) => Knock = () => ({})): Case =>
  async (holdall, column) => {
    const { method = 'GET', headers = {}, body } = requestFor(column)
    const init = { method, headers, token: column.token, ...(body !== undefined && { body }) }
    const response = await holdall.http(path(column), init)
    await response.arrayBuffer()
    return [response.status]
  }

const tus =
  (method: string, more: Record<string, string> = {}, body?: string) =>
  (): Knock => ({
    ...{ method, headers: { 'tus-resumable': '1.0.0', ...more } },
    ...(body !== undefined && { body }),
  })
const patch = tus('PATCH', { 'upload-offset': '0', 'content-type': OFFSET_TYPE }, 'here')
const others = ({ place }: Column) => place.uploadUrl

let files = 0
export const endpointCases: Record<string, Case> = {
  'uploads POST': tryEndpoint(
    () => '/uploads',
    ({ place: { workspaceId } }) => {
      const declared = metadata({ workspaceId, filename: `posted ${++files}` })
      return tus('POST', { 'upload-length': '4', 'upload-metadata': declared })()
    },
  ),
  'uploads HEAD': tryEndpoint(({ own }) => own.uploadUrl, tus('HEAD')),
  'uploads PATCH': tryEndpoint(({ own }) => own.uploadUrl, patch),
  'uploads DELETE': tryEndpoint(({ own }) => own.doomedUrl, tus('DELETE')),
  "uploads HEAD another's": tryEndpoint(others, tus('HEAD')),
  "uploads PATCH another's": tryEndpoint(others, patch),
  "uploads DELETE another's": tryEndpoint(others, tus('DELETE')),
  'uploads OPTIONS': tryEndpoint(() => '/uploads', tus('OPTIONS')),
  async 'put PUT'(holdall, column) {
    const { workspaceId } = column.place
    const put = { workspaceId, name: `put ${++files}`, size: 4, transport: 'SIGNED_PUT' }
    const { url, headers } = await createUpload(holdall, put)
    const declared = Object.fromEntries(headers.map(({ name, value }) => [name, value]))
    // A bucket accepts one authentication per request: the URL.
    const token = url.startsWith(holdall.url) ? column.token : null
    const init = { method: 'PUT', body: 'here', headers: declared, token }
    return [(await holdall.http(url, init)).status]
  },
  async 'files POST'(holdall, { token, place: { workspaceId } }) {
    const file = { name: `form ${++files}`, bytes: 'here' }
    return [(await postForm(holdall, { workspaceId, file }, { token })).status]
  },
  'download GET': tryEndpoint(({ place }) => `/download/${place.fileId}`),
  'download HEAD': tryEndpoint(
    ({ place }) => `/download/${place.fileId}`,
    () => ({ method: 'HEAD' }),
  ),
  'download signed': tryEndpoint(({ place }) => place.signed),
  'archive signed': tryEndpoint(({ place }) => place.archive),
  'archive manifest': tryEndpoint(({ place }) => place.archive.replace(/[^/]*$/, 'manifest')),
  'share GET': tryEndpoint(({ place }) => place.share),
  'metrics GET': tryEndpoint(() => '/metrics'),
  'livez GET': tryEndpoint(() => '/livez'),
  'readyz GET': tryEndpoint(() => '/readyz'),
  'graphql page': tryEndpoint(
    () => '/graphql',
    () => ({ method: 'HEAD', headers: { accept: 'text/html' } }),
  ),
  'root GET': tryEndpoint(() => '/'),
}
