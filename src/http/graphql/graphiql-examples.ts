import type { GraphiQLOptions } from 'graphql-yoga'

/** The header is empty, so that the schema can be read without a token. */
const headers = JSON.stringify({ Authorization: '' }, null, 2)

/** The tabs: a query each, with variables that the reader copies from the result of the previous tab. */
export const steps: { query: string; variables?: object }[] = [
  {
    query: `# 1. Create a workspace. First open "Headers" below and put
#    your token between the quotes, "Bearer hld_…",
#    here and in the following tabs. Then press play.
mutation CreateWorkspace {
  createWorkspace(input: { name: "Lab" }) {
    ... on CreateWorkspacePayload { workspace { id name slug } }
    ... on UserError { code message path }
  }
}
`,
  },
  {
    query: `# 2. Create an upload. It reserves the space and returns
#    the URL for the bytes. Set workspaceId in "Variables".
mutation CreateUpload($workspaceId: ID!) {
  createUpload(input: { workspaceId: $workspaceId, path: "raw/2025", name: "hello.txt", size: 13, onConflict: RENAME }) {
    ... on CreateUploadPayload { upload { id url status expiresAt } }
    ... on UserError { code message path }
  }
}

# 3. Send the bytes to that URL from a shell:
#
#    printf 'Hello, world!' |
#      curl -i -X PATCH '<url>' --data-binary @- \\
#      -H 'Authorization: Bearer <token>' \\
#      -H 'Tus-Resumable: 1.0.0' -H 'Upload-Offset: 0' \\
#      -H 'Content-Type: application/offset+octet-stream'
`,
    variables: { workspaceId: 'ws_…' },
  },
  {
    query: `# 4. Confirm the upload. Bytes and metadata become
#    visible together. Confirming twice is safe.
mutation ConfirmUpload($uploadId: ID!) {
  confirmUpload(input: { uploadId: $uploadId }) {
    ... on ConfirmUploadPayload { file { id path size mediaType sha256 downloadUrl { url expiresAt } } }
    ... on UploadIncompleteError { missingBytes }
    ... on UserError { code message path }
  }
}
`,
    variables: { uploadId: 'upl_…' },
  },
  {
    query: `# 5. List the entries.
query List($workspaceId: ID!) {
  workspace(by: { id: $workspaceId }) {
    entries(filter: { pathPrefix: "raw/" }) {
      totalCount
      nodes { __typename id path tags { name } ... on File { size mediaType } }
    }
    usage { currentBytes trashedBytes reservedBytes fileCount }
  }
}
`,
    variables: { workspaceId: 'ws_…' },
  },
  {
    query: `# 6. Move the file to the trash. Its links return 404.
mutation Trash($id: ID!) {
  trashEntries(input: { entries: [{ entry: { id: $id } }] }) {
    ... on TrashEntriesPayload { succeeded results { entry { trash { originalPath purgeAt } } error { code message } } }
    ... on UserError { code message path }
  }
}
`,
    variables: { id: 'file_…' },
  },
  {
    query: `# 7. Restore the file to its folder.
mutation Restore($id: ID!) {
  restoreEntries(input: { entries: [{ entry: { id: $id } }] }) {
    ... on RestoreEntriesPayload { succeeded results { entry { path } error { code message } } }
    ... on UserError { code message path }
  }
}
`,
    variables: { id: 'file_…' },
  },
]

/** Default tabs of GraphiQL: one for each step of an upload. */
export const exampleTabs: GraphiQLOptions = {
  headers,
  defaultTabs: steps.map(({ query, variables }) => ({
    query,
    headers,
    variables: variables ? JSON.stringify(variables, null, 2) : null,
  })),
}
