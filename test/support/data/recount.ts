import { expect } from 'vitest'
import { usageOf } from '../client.ts'
import type { TestServer } from '../servers/test-server.ts'

type Child = {
  __typename: 'File' | 'Folder'
  id: string
  name: string
  path: string
  size?: number
  versions?: { nodes: { size: number; number: number }[] }
}
type Sum = { bytes: number; olderBytes: number; fileCount: number; folderCount: number }

const nothing: Sum = { bytes: 0, olderBytes: 0, fileCount: 0, folderCount: 0 }
const plus = (a: Sum, b: Sum): Sum => ({
  bytes: a.bytes + b.bytes,
  olderBytes: a.olderBytes + b.olderBytes,
  fileCount: a.fileCount + b.fileCount,
  folderCount: a.folderCount + b.folderCount,
})

const folderQuery = `query ($id: ID!) {
  node(id: $id) { ... on Folder {
    path
    totals { bytes fileCount folderCount }
    children(first: 100) {
      nodes { __typename id name path ... on File { size versions(first: 100) { nodes { size number } } } }
      pageInfo { hasNextPage }
    }
  } }
}`

/**
 * Reads the whole tree as a client does, and compares it with the totals of every folder and the usage
 * of the workspace. Supports at most 100 entries per folder and 100 versions per file.
 */
export async function expectExact(
  holdall: TestServer,
  workspace: { id: string; root: { id: string } },
) {
  const counted = await walk(holdall, workspace.root.id, '')
  const usage = await usageOf(holdall, workspace.id)
  expect(usage).toMatchObject({
    currentBytes: counted.bytes,
    olderVersionBytes: counted.olderBytes,
    fileCount: counted.fileCount,
    folderCount: counted.folderCount,
    trashedBytes: await trashedBytes(holdall, workspace.id),
    reservedBytes: await reservedBytes(holdall, workspace.id),
  })
  return usage
}

async function walk(holdall: TestServer, id: string, path: string): Promise<Sum> {
  const { node } = await holdall.ask(folderQuery, { id })
  expect(node.path).toBe(path)
  expect(node.children.pageInfo.hasNextPage).toBe(false)
  const children: Child[] = node.children.nodes
  const names = children.map(({ name }) => name.toLowerCase())
  expect(new Set(names).size).toBe(names.length)
  let sum = nothing
  for (const child of children) sum = plus(sum, await countOf(holdall, child, path))
  const { bytes, fileCount, folderCount } = sum
  expect(node.totals).toEqual({ bytes, fileCount, folderCount })
  return sum
}

async function countOf(
  holdall: TestServer,
  { id, name, ...child }: Child,
  above: string,
): Promise<Sum> {
  const path = above === '' ? name : `${above}/${name}`
  expect(child.path).toBe(path)
  if (child.__typename === 'Folder')
    return plus(await walk(holdall, id, path), { ...nothing, folderCount: 1 })
  const sizes = child.versions?.nodes.map(({ size }) => size) ?? []
  const bytes = child.size ?? 0
  const olderBytes = sizes.reduce((all, size) => all + size, 0) - bytes
  return { bytes, olderBytes, fileCount: 1, folderCount: 0 }
}

async function trashedBytes(holdall: TestServer, id: string): Promise<number> {
  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    trash(first: 100) { nodes { __typename
      ... on File { versions(first: 100) { nodes { size } } }
      ... on Folder { totals { bytes } } } } } }`
  const { workspace } = await holdall.ask(query, { id })
  return (workspace.trash.nodes as any[])
    .flatMap((entry) => entry.versions?.nodes ?? [{ size: entry.totals.bytes }])
    .reduce((all, { size }) => all + size, 0)
}

async function reservedBytes(holdall: TestServer, id: string): Promise<number> {
  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    uploads(first: 100, status: [CREATED, RECEIVING, RECEIVED, PROCESSING]) { nodes { size } } } }`
  const { workspace } = await holdall.ask(query, { id })
  return (workspace.uploads.nodes as { size: number }[]).reduce((all, { size }) => all + size, 0)
}
