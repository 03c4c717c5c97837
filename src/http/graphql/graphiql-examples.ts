import type { GraphiQLOptions } from 'graphql-yoga'

/** Empty, so that the schema can be read before there is a token. */
const headers = JSON.stringify({ Authorization: '' }, null, 2)

/** Each tab: what it does, and the variables that the reader fills in from the answer of the tab before. */
export const steps: { query: string; variables?: object }[] = [
  {
    query: `# 1. A workspace. First open "Headers" below and put
#    your token between the quotes, "Bearer hld_…",
#    here and in the tabs that follow. Then press play.
mutation CreateWorkspace {
  createWorkspace(input: { name: "Lab" }) {
    ... on CreateWorkspacePayload { workspace { id name slug } }
    ... on UserError { code message path }
  }
}
`,
  },
  {
    query: `# 2. An upload: the space is reserved, and you get the
#    URL for the bytes. "Variables" wants the workspace.
mutation CreateUpload($workspaceId: ID!) {
  createUpload(input: { workspaceId: $workspaceId, path: "raw/2025", name: "hello.txt", size: 13, onConflict: RENAME }) {
    ... on CreateUploadPayload { upload { id url status expiresAt } }
    ... on UserError { code message path }
  }
}

# 3. The bytes go to that URL, from a shell:
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
    query: `# 4. The confirm: bytes and metadata become visible
#    together. It can be repeated.
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
    query: `# 5. What is there.
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
    query: `# 6. Into the trash. The file's links answer 404 now.
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
    query: `# 7. And back to where it was.
mutation Restore($id: ID!) {
  restoreEntries(input: { entryIds: [$id] }) {
    ... on RestoreEntriesPayload { succeeded results { entry { path } error { code message } } }
    ... on UserError { code message path }
  }
}
`,
    variables: { id: 'file_…' },
  },
]

/** What GraphiQL opens with: the main job, a tab for each step. */
export const exampleTabs: GraphiQLOptions = {
  headers,
  defaultTabs: steps.map(({ query, variables }) => ({
    query,
    headers,
    variables: variables ? JSON.stringify(variables, null, 2) : null,
  })),
}
