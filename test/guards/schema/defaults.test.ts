import { expect, test } from 'vitest'
import { createFolder, createWorkspace, uploadFile } from '../../support/client.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

const hour = 3_600_000

test('an explicit null for an argument means its default', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using holdall = await startTestServer({ now: () => now++ })
  const { id: workspaceId } = await createWorkspace(holdall)
  const file = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'a' })
  const { node } = await holdall.ask(
    `query ($id: ID!, $seconds: Int, $disposition: Disposition) { node(id: $id) { ... on File {
      omitted: downloadUrl { url expiresAt }
      inline: downloadUrl(expiresInSeconds: null, disposition: null) { url expiresAt }
      variable: downloadUrl(expiresInSeconds: $seconds, disposition: $disposition) { url expiresAt }
    } } }`,
    { id: file.id, seconds: null, disposition: null },
  )
  for (const { url, expiresAt } of Object.values<{ url: string; expiresAt: string }>(node)) {
    expect(Date.parse(expiresAt)).toBeGreaterThan(now + hour - 1000)
    const response = await holdall.http(url, { token: null })
    expect(response.headers.get('content-disposition')).toMatch(/^attachment/)
  }
})

test('an explicit null for an input field means its default, at every depth', async () => {
  await using holdall = await startTestServer()
  const { id: workspaceId } = await createWorkspace(holdall)
  await createFolder(holdall, { workspaceId, name: 'z' })
  await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'a' })
  const { workspace } = await holdall.ask(
    `query ($id: ID!, $orderBy: EntryOrder) { workspace(by: { id: $id }) { root {
      children(orderBy: $orderBy) { nodes { name } } } } }`,
    { id: workspaceId, orderBy: { field: null, direction: null, foldersFirst: null } },
  )
  expect(workspace.root.children.nodes).toEqual([{ name: 'z' }, { name: 'a.txt' }])
  const { createFolder: again } = await holdall.ask(
    `mutation ($input: CreateFolderInput!) { createFolder(input: $input) { __typename } }`,
    { input: { workspaceId, name: 'z', onConflict: null } },
  )
  expect(again.__typename).toBe('NameConflictError')
})

test('a null number of parts costs as much as the default', async () => {
  await using holdall = await startTestServer()
  const parts = Array.from({ length: 60 }, (_, i) => `p${i}: parts(first: null) { number }`)
  const { errors } = await holdall.ask(
    `{ viewer { workspaces(first: 100) { nodes { uploads(first: 100) { nodes { ${parts.join(' ')} } } } } } }`,
    {},
    { expectErrors: true },
  )
  expect(errors?.[0].message).toMatch(/complexity/)
})
