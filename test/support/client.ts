import type { TestServer } from './servers/test-server.ts'

type Input = Record<string, unknown>
type As = { token?: string | null }

/** Runs a mutation. Returns its payload or the error of its union, with __typename. */
export async function attempt(
  holdall: TestServer,
  name: string,
  input: Input,
  selection: string,
  as: As = {},
): Promise<any> {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
  const query = `mutation ($input: ${type}Input!) {
    ${name}(input: $input) {
      __typename
      ... on ${type}Payload { ${selection} }
      ... on UserError { code message path retryable }
    }
  }`
  const data = await holdall.ask(query, { input }, as)
  return data[name]
}

/** Runs a mutation and throws the error of its union if it fails. */
export async function act(
  holdall: TestServer,
  name: string,
  input: Input,
  selection: string,
  as: As = {},
): Promise<any> {
  const answer = await attempt(holdall, name, input, selection, as)
  if (answer.code) throw new Error(`${name}: ${answer.code} ${answer.message}`)
  return answer
}

export type WorkspaceHandle = { id: string; name: string; slug: string; root: { id: string } }
export async function createWorkspace(
  holdall: TestServer,
  input: Input = {},
  as: As = {},
): Promise<WorkspaceHandle> {
  const selection = 'workspace { id name slug root { id } }'
  const { workspace } = await act(
    holdall,
    'createWorkspace',
    { name: 'Lab', ...input },
    selection,
    as,
  )
  return workspace
}

const entryFields = 'id name path revision'
const fileFields = `${entryFields} size sha256 mediaType kind version { id number }`

export type FolderHandle = { id: string; name: string; path: string; revision: number }
export async function createFolder(
  holdall: TestServer,
  input: Input,
  as: As = {},
): Promise<FolderHandle> {
  const { folder } = await act(holdall, 'createFolder', input, `folder { ${entryFields} }`, as)
  return folder
}

export type UploadHandle = {
  id: string
  url: string
  headers: { name: string; value: string }[]
  status: string
}
export async function createUpload(
  holdall: TestServer,
  input: Input,
  as: As = {},
): Promise<UploadHandle> {
  const selection = 'upload { id url status headers { name value } }'
  const { upload } = await act(holdall, 'createUpload', input, selection, as)
  return upload
}

/** Sends `bytes` at `offset` in one PATCH. Returns the new offset. */
export async function sendBytes(
  holdall: TestServer,
  upload: UploadHandle,
  bytes: Uint8Array | string,
  offset = 0,
  as: As = {},
): Promise<number> {
  const response = await holdall.http(upload.url, {
    method: 'PATCH',
    headers: {
      ...Object.fromEntries(upload.headers.map(({ name, value }) => [name, value])),
      'Tus-Resumable': '1.0.0',
      'Upload-Offset': String(offset),
      'Content-Type': 'application/offset+octet-stream',
    },
    body: bytes as BodyInit,
    ...as,
  })
  if (response.status !== 204) throw new Error(`PATCH: ${response.status} ${await response.text()}`)
  return Number(response.headers.get('upload-offset'))
}

export type FileHandle = FolderHandle & {
  size: number
  sha256: string
  mediaType: string
  kind: string
  version: { id: string; number: number }
}
export async function confirmUpload(
  holdall: TestServer,
  input: Input,
  as: As = {},
): Promise<FileHandle> {
  const { file } = await act(holdall, 'confirmUpload', input, `file { ${fileFields} }`, as)
  return file
}

/**
 * Uploads a file with createUpload, PATCH and confirmUpload. `size` defaults to the length of the
 * bytes.
 */
export async function uploadFile(
  holdall: TestServer,
  { bytes, ...input }: Input & { workspaceId: string; name: string; bytes: Uint8Array | string },
  as: As = {},
): Promise<FileHandle> {
  const upload = await createUpload(holdall, { size: Buffer.byteLength(bytes), ...input }, as)
  await sendBytes(holdall, upload, bytes, 0, as)
  return confirmUpload(holdall, { uploadId: upload.id }, as)
}

export type EntryHandle = { __typename: 'File' | 'Folder'; id: string; name: string; path: string }
/** Returns one page of a folder; `args` are the arguments of Folder.children. */
export async function children(
  holdall: TestServer,
  folderId: string,
  args = 'first: 100',
  as: As = {},
): Promise<EntryHandle[]> {
  const query = `query ($id: ID!) {
    node(id: $id) { ... on Folder { children(${args}) { nodes { __typename id name path } } } }
  }`
  const { node } = await holdall.ask(query, { id: folderId }, as)
  return node.children.nodes
}

/** Returns the entry at a path of a workspace, or null. */
export async function entryByPath(
  holdall: TestServer,
  workspaceId: string,
  path: string,
  as: As = {},
): Promise<EntryHandle | null> {
  const query = `query ($id: ID!, $path: String!) {
    workspace(by: { id: $id }) { entryByPath(path: $path) { __typename id name path } }
  }`
  const { workspace } = await holdall.ask(query, { id: workspaceId, path }, as)
  return workspace.entryByPath
}

/** Returns a signed link to the current bytes of a file. */
export async function downloadUrl(
  holdall: TestServer,
  fileId: string,
  args = '',
  as: As = {},
): Promise<string> {
  const query = `query ($id: ID!) { node(id: $id) { ... on File { downloadUrl${args} { url } } } }`
  const { node } = await holdall.ask(query, { id: fileId }, as)
  return node.downloadUrl.url
}

/** Downloads a file by its signed link, without a token. */
export async function download(holdall: TestServer, fileId: string): Promise<Buffer> {
  const url = await downloadUrl(holdall, fileId)
  const response = await holdall.http(url, { token: null, redirect: 'follow' })
  if (response.status !== 200)
    throw new Error(`download: ${response.status} ${await response.text()}`)
  return Buffer.from(await response.arrayBuffer())
}

type Outcome = { index: number; entryId: string | null; entry: any; error: any }
type BatchOf<More> = { results: Outcome[]; succeeded: number; failed: number } & More

/** Runs a batch mutation. Returns the result of each item; `more` are further fields of its payload. */
export async function batch<More = object>(
  holdall: TestServer,
  name: string,
  input: Input,
  more = '',
): Promise<BatchOf<More>> {
  const entry = 'entry { __typename id name path revision }'
  const results = `results { index entryId ${entry} error { code message path } }`
  return act(holdall, name, input, `${results} succeeded failed ${more}`)
}

/** Runs a batch mutation in which every item must succeed. Returns the entries. */
export async function batchDone(
  holdall: TestServer,
  name: string,
  input: Input,
): Promise<EntryHandle[]> {
  const { results } = await batch(holdall, name, input)
  const error = results.find((result) => result.error)?.error
  if (error) throw new Error(`${name}: ${error.code} ${error.message}`)
  return results.map(({ entry }) => entry)
}

/** Converts entries to the input that batch mutations take. */
export const items = (...entries: { id: string }[]) => entries.map(({ id }) => ({ entry: { id } }))

export const trashEntries = (holdall: TestServer, ...entries: { id: string }[]) =>
  batchDone(holdall, 'trashEntries', { entries: items(...entries), recursive: true })

/** Returns the usage of a workspace. */
export async function usageOf(holdall: TestServer, workspaceId: string): Promise<any> {
  const figures =
    'currentBytes olderVersionBytes trashedBytes reservedBytes storedBytes fileCount folderCount'
  const query = `query ($id: ID!) {
    workspace(by: { id: $id }) { usage { ${figures} byKind { kind bytes fileCount } } }
  }`
  return (await holdall.ask(query, { id: workspaceId })).workspace.usage
}

type Totals = { bytes: number; fileCount: number; folderCount: number }
/** Returns the totals of a folder, including all levels below it. */
export async function totalsOf(holdall: TestServer, { id }: { id: string }): Promise<Totals> {
  const query = `query ($id: ID!) {
    node(id: $id) { ... on Folder { totals { bytes fileCount folderCount } } }
  }`
  return (await holdall.ask(query, { id })).node.totals
}

/** Returns fields of a node by its id, or null if it does not exist. */
export async function lookUp(
  holdall: TestServer,
  { id }: { id: string },
  fields: string,
): Promise<any> {
  const query = `query ($id: ID!) { node(id: $id) { __typename ... on Entry { ${fields} } } }`
  return (await holdall.ask(query, { id })).node
}
