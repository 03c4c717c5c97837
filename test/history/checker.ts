import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { downloadUrl, usageOf } from '../support/client.ts'
import type { TestServer } from '../support/servers/test-server.ts'
import { advance, type Place } from './followers.ts'
import type { Journal, Sent } from './journal.ts'

type Entry = {
  __typename: 'File' | 'Folder'
  id: string
  name: string
  size: number
  sha256: string
}
type At = { holdall: TestServer; journal: Journal }

/**
 * Compares the state, read through the API, with what clients were acknowledged, after all faults have ended.
 */
export async function check(at: At, workspace: Workspace, places: Place[]): Promise<void> {
  const files = at.journal.sent.filter((sent) => sent.workspaceId === workspace.id)
  const entries = await settled(at, workspace, files)
  checkFiles(at.journal, files, entries)
  checkFolders(at.journal, workspace, entries)
  for (const entry of entries) if (entry.__typename === 'File') await checkBytes(at, entry)
  await checkUsage(at, workspace, entries)
  await checkChanges(at, workspace, entries, places)
}
type Workspace = { id: string; root: { id: string } }

/** Waits for uploads that confirm themselves. */
async function settled(at: At, workspace: Workspace, files: Sent[]): Promise<Entry[]> {
  const end = performance.now() + 30_000
  while (true) {
    const entries = await entriesOf(at.holdall, workspace)
    const names = new Set(entries.map(({ name }) => name))
    const missing = files.filter(
      ({ auto, acknowledged, name }) => auto && acknowledged && !names.has(name),
    )
    if (missing.length === 0 || performance.now() > end) return entries
    await sleep(500)
  }
}

/** Returns all entries of the root folder, where clients create everything. */
async function entriesOf(holdall: TestServer, { root }: Workspace): Promise<Entry[]> {
  const query = `query ($id: ID!, $after: String) { node(id: $id) { ... on Folder {
    children(first: 100, after: $after) {
      nodes { __typename id name ... on File { size sha256 } } pageInfo { hasNextPage endCursor }
    } } } }`
  const all: Entry[] = []
  for (let after: string | null = null; ; ) {
    const { node }: { node: any } = await holdall.ask(query, { id: root.id, after })
    all.push(...node.children.nodes)
    if (!node.children.pageInfo.hasNextPage) return all
    after = node.children.pageInfo.endCursor
  }
}

function checkFiles(journal: Journal, files: Sent[], entries: Entry[]) {
  const found = entries.filter(({ __typename }) => __typename === 'File')
  const sent = new Map(files.map((file) => [file.name, file]))
  for (const { name, size, sha256 } of found) {
    const file = sent.get(name)
    if (!file) journal.violation(`${name} exists, but no client sent it under this name`)
    else if (file.trashed === 'yes') journal.violation(`${name} was trashed, but exists`)
    else if (file.size !== size || file.sha256 !== sha256)
      journal.violation(`${name} has other bytes than were sent`)
  }
  const names = found.map(({ name }) => name)
  if (new Set(names).size !== names.length) journal.violation('a name exists twice')
  for (const { name, acknowledged, trashed, auto } of files) {
    if (acknowledged && trashed === 'no' && !names.includes(name))
      journal.violation(`${name} was acknowledged${auto ? ' (auto)' : ''}, but does not exist`)
  }
}

function checkFolders(journal: Journal, { id }: Workspace, entries: Entry[]) {
  for (const { workspaceId, name, acknowledged } of journal.made) {
    if (workspaceId !== id || !acknowledged) continue
    const count = entries.filter((entry) => entry.name === name).length
    if (count !== 1) journal.violation(`folder ${name} was created, but exists ${count} times`)
  }
}

async function checkBytes({ holdall, journal }: At, { id, name, sha256 }: Entry) {
  const response = await holdall.http(await downloadUrl(holdall, id), {
    token: null,
    redirect: 'follow',
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  if (response.status !== 200 || createHash('sha256').update(bytes).digest('hex') !== sha256)
    journal.violation(`${name} is downloaded with ${response.status} and other bytes`)
  journal.count('files read')
}

async function checkUsage({ holdall, journal }: At, { id }: Workspace, entries: Entry[]) {
  const { currentBytes, fileCount, folderCount } = await usageOf(holdall, id)
  const files = entries.filter(({ __typename }) => __typename === 'File')
  const counted = {
    currentBytes: files.reduce((sum, { size }) => sum + size, 0),
    fileCount: files.length,
    folderCount: entries.length - files.length,
  }
  const reported = { currentBytes, fileCount, folderCount }
  if (JSON.stringify(reported) !== JSON.stringify(counted))
    journal.violation(
      `usage is ${JSON.stringify(reported)}, but entries add up to ${JSON.stringify(counted)}`,
    )
}

/** Checks that each saved cursor leads to the current tree. */
async function checkChanges(at: At, { id, root }: Workspace, entries: Entry[], places: Place[]) {
  const wanted = new Map(entries.map((entry) => [entry.id, entry.name]))
  for (const [i, place] of places.entries()) {
    await advance(at, id, place)
    const got = new Map([...place.mirror.tree].map(([key, { name }]) => [key, name]))
    got.delete(root.id)
    const differ = [...new Set([...wanted.keys(), ...got.keys()])].filter(
      (key) => wanted.get(key) !== got.get(key),
    )
    if (differ.length > 0)
      at.journal.violation(
        `cursor ${i}: ${differ.map((key) => `${wanted.get(key)} / ${got.get(key)}`).join(', ')}`,
      )
    at.journal.count('cursors followed to the end')
  }
}
