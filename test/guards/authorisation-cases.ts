import { createUpload } from '../support/client.ts'
import { openStream } from '../support/events.ts'
import { postForm } from '../support/forms.ts'
import type { TestServer } from '../support/test-server.ts'
import { metadata, OFFSET_TYPE } from '../support/tus.ts'
import type { Column } from './authorisation-people.ts'
import { mutations, nodes } from './mutation-cases.ts'

/** How somebody was answered: a code where GraphQL gave one, else the status. */
type Told = string | number
/** Tries an operation as somebody; several answers where there are several ways to name the same thing. */
export type Try = (holdall: TestServer, column: Column, mayEnter: boolean) => Promise<Told[]>

type Answer = { data?: any; errors?: { extensions?: Record<string, any> }[] | undefined }
const asks = (
  holdall: TestServer,
  { token }: Column,
  query: string,
  variables: object,
): Promise<Answer> => holdall.graphql(query, { ...variables }, { token })

const wrong = ({ errors }: Answer): Told[] =>
  (errors ?? []).map(({ extensions }) => extensions?.code)

/** What a mutation answers, without a field that would ask for rights of its own. */
function codesOf(answer: Answer): Told[] {
  const { code, results = [] } = answer.data?.answer ?? {}
  const all = [...wrong(answer), code, ...results.map(({ error }: any) => error?.code)]
  return all.filter((one) => one != null)
}

/** Whoever is let in, by one way alone: what they do is done. */
export const mutationTry =
  (name: string, hasResults: boolean): Try =>
  async (holdall, column, mayEnter) => {
    const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
    const results = hasResults ? `... on ${type}Payload { results { error { code } } }` : ''
    const query = `mutation ($input: ${type}Input!) {
      answer: ${name}(input: $input) { __typename ... on UserError { code } ${results} }
    }`
    const inputs = mutations[name]?.inputs({ ...column.place, ...column.own }) ?? []
    const told: Told[] = []
    for (const input of mayEnter ? inputs.slice(0, 1) : inputs) {
      const codes = codesOf(await asks(holdall, column, query, { input }))
      told.push(...(codes.length > 0 ? codes : [200]))
    }
    return told
  }

const found = (answer: Answer, thing: unknown): Told[] => {
  const codes = wrong(answer)
  if (codes.length > 0) return codes
  return [thing == null ? 404 : 200]
}

export const nodeTry =
  (type: string): Try =>
  async (holdall, column) => {
    const id = nodes[type]?.(column.place)
    const query = `query ($id: ID!) { node(id: $id) { __typename id } }`
    const answer = await asks(holdall, column, query, { id })
    return found(answer, answer.data?.node)
  }

export const queryTries: Record<string, Try> = {
  node: nodeTry('File'),
  async nodes(holdall, column) {
    const query = `query ($ids: [ID!]!) { nodes(ids: $ids) { id } }`
    const { fileId, folderId, tagId } = column.place
    const answer = await asks(holdall, column, query, { ids: [fileId, folderId, tagId] })
    if (!answer.data?.nodes) return wrong(answer)
    return answer.data.nodes.flatMap((node: unknown) => found(answer, node))
  },
  async workspace(holdall, column) {
    const query = `query ($by: WorkspaceBy!) { workspace(by: $by) { id name } }`
    const { workspaceId: id, slug } = column.place
    const [byId, bySlug] = [
      await asks(holdall, column, query, { by: { id } }),
      await asks(holdall, column, query, { by: { slug } }),
    ]
    return [byId, bySlug].flatMap((answer) => found(answer, answer.data?.workspace))
  },
  async shared(holdall, column) {
    const query = `query ($token: String!) { shared(token: $token) { entry { id } } }`
    const answer = await asks(holdall, column, query, { token: column.place.shareToken })
    return found(answer, answer.data?.shared)
  },
  viewer: (holdall, column) => plain(holdall, column, '{ viewer { user { id } } }'),
  serverInfo: (holdall, column) => plain(holdall, column, '{ serverInfo { version } }'),
  serverActivity: (holdall, column) => plain(holdall, column, '{ serverActivity { totalCount } }'),
  rateLimit: (holdall, column) => plain(holdall, column, '{ rateLimit { limit } }'),
}

const plain = async (holdall: TestServer, column: Column, query: string) =>
  found(await asks(holdall, column, query, {}), true)

/** Members come to their workspace by themselves, so that it takes no scope but the field's own. */
export const workspaceTry =
  (field: string, selection: string): Try =>
  async (holdall, column) => {
    const { workspaceId: id } = column.place
    const isIn = column.role !== null && column.bound !== 'elsewhere'
    const query = isIn
      ? `{ viewer { workspaces(first: 2) { nodes { id asked: ${selection} } } } }`
      : `query ($id: ID!) { workspace(by: { id: $id }) { id asked: ${selection} } }`
    const answer = await asks(holdall, column, query, isIn ? {} : { id })
    const { viewer, workspace } = answer.data ?? {}
    const seen = isIn ? viewer?.workspaces.nodes.find((one: any) => one.id === id) : workspace
    // Whether a thing is there at all says nothing of who may look: null is an answer.
    return found(answer, seen && (seen.asked ?? field))
  }

export const subscriptionTry =
  (name: string): Try =>
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
const door =
  (path: (column: Column) => string, knock: (column: Column) => Knock = () => ({})): Try =>
  async (holdall, column) => {
    const { method = 'GET', headers = {}, body } = knock(column)
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
export const doorTries: Record<string, Try> = {
  'uploads POST': door(
    () => '/uploads',
    ({ place: { workspaceId } }) => {
      const said = metadata({ workspaceId, filename: `posted ${++files}` })
      return tus('POST', { 'upload-length': '4', 'upload-metadata': said })()
    },
  ),
  'uploads HEAD': door(({ own }) => own.uploadUrl, tus('HEAD')),
  'uploads PATCH': door(({ own }) => own.uploadUrl, patch),
  'uploads DELETE': door(({ own }) => own.doomedUrl, tus('DELETE')),
  "uploads HEAD another's": door(others, tus('HEAD')),
  "uploads PATCH another's": door(others, patch),
  "uploads DELETE another's": door(others, tus('DELETE')),
  'uploads OPTIONS': door(() => '/uploads', tus('OPTIONS')),
  async 'put PUT'(holdall, column) {
    const { workspaceId } = column.place
    const put = { workspaceId, name: `put ${++files}`, size: 4, transport: 'SIGNED_PUT' }
    const { url, headers } = await createUpload(holdall, put)
    const said = Object.fromEntries(headers.map(({ name, value }) => [name, value]))
    // A bucket takes the URL for the one proof, and refuses two.
    const token = url.startsWith(holdall.url) ? column.token : null
    const init = { method: 'PUT', body: 'here', headers: said, token }
    return [(await holdall.http(url, init)).status]
  },
  async 'files POST'(holdall, { token, place: { workspaceId } }) {
    const file = { name: `form ${++files}`, bytes: 'here' }
    return [(await postForm(holdall, { workspaceId, file }, { token })).status]
  },
  'download GET': door(({ place }) => `/download/${place.fileId}`),
  'download HEAD': door(
    ({ place }) => `/download/${place.fileId}`,
    () => ({ method: 'HEAD' }),
  ),
  'download signed': door(({ place }) => place.signed),
  'archive signed': door(({ place }) => place.archive),
  'archive manifest': door(({ place }) => place.archive.replace(/[^/]*$/, 'manifest')),
  'share GET': door(({ place }) => place.share),
  'metrics GET': door(() => '/metrics'),
  'livez GET': door(() => '/livez'),
  'readyz GET': door(() => '/readyz'),
  'graphql page': door(
    () => '/graphql',
    () => ({ method: 'HEAD', headers: { accept: 'text/html' } }),
  ),
  'root GET': door(() => '/'),
}
