import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { act, createWorkspace, sendBytes } from '../../support/client.ts'
import { createToken, invite, type Person } from '../../support/data/people.ts'
import { openStream } from '../../support/network/events.ts'
import { OFFSET_TYPE } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const address = 'url headers { name value } parts(first: 3) { number url }'
const hidden = { url: null, headers: [], parts: null }

let holdall: TestServer
let workspaceId: string
let maker: Person

beforeEach(async () => {
  holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
  maker = await invite(holdall, workspaceId, 'EDITOR')
})

type Made = { id: string; url: string; headers: { name: string; value: string }[] }
async function createUpload(transport: string): Promise<Made> {
  const input = { workspaceId, name: `${transport}.bin`, size: 4, transport }
  return (await act(holdall, 'createUpload', input, `upload { id ${address} }`, maker)).upload
}

type Seen = { url: string | null; headers: object[]; parts: object[] | null }

/** The address of an upload as a token sees it, by each field that returns it. */
async function waysTo(upload: { id: string }, token: string): Promise<Record<string, Seen>> {
  const asUpload = `... on Upload { ${address} }`
  const query = `query ($id: ID!, $ws: ID!) {
    node(id: $id) { ${asUpload} }
    nodes(ids: [$id]) { ${asUpload} }
    workspace(by: { id: $ws }) {
      uploads(first: 3) { nodes { id ${address} } edges { node { id ${address} } } }
      changes(first: 9, since: ${JSON.stringify(start)}) {
        ... on ChangeBatch { changes { ... on UploadChanged { upload { id ${address} } } } }
      }
    }
  }`
  const requested = { id: upload.id, ws: workspaceId }
  const { node, nodes, workspace } = await holdall.ask(query, requested, { token })
  const own = <T extends { id: string }>(all: T[]) => {
    const { id: _, ...seen } = all.find(({ id }) => id === upload.id) ?? { id: '' }
    return seen as unknown as Seen
  }
  const changed = workspace.changes.changes.flatMap((change: any) => change.upload ?? [])
  const subscription = `subscription { uploadChanged(uploadId: "${upload.id}") { ${address} } }`
  using stream = await openStream(holdall, subscription, {}, { token })
  return {
    node,
    nodes: nodes[0],
    list: own(workspace.uploads.nodes),
    edges: own(workspace.uploads.edges.map((edge: any) => edge.node)),
    changes: own(changed),
    subscription: (await stream.next())?.data.data.uploadChanged,
  }
}

let start: string
beforeEach(async () => {
  const query = 'query ($id: ID!) { workspace(by: { id: $id }) { syncCursor } }'
  start = (await holdall.ask(query, { id: workspaceId })).workspace.syncCursor
})

describe.each(['TUS', 'SIGNED_PUT'])('the address of an upload by %s', (transport) => {
  test('is visible to its creator, also with another token with write access', async () => {
    const upload = await createUpload(transport)
    const { secret } = await createToken(holdall, { scopes: ['FILES_READ', 'FILES_WRITE'] }, maker)
    for (const token of [maker.token, secret]) {
      for (const seen of Object.values(await waysTo(upload, token))) {
        expect(seen).toMatchObject({ url: upload.url, headers: upload.headers })
      }
    }
  })

  test.each(['VIEWER', 'EDITOR', 'OWNER'] as const)(
    'is not visible to another %s',
    async (role) => {
      const upload = await createUpload(transport)
      const other = await invite(holdall, workspaceId, role)
      for (const [way, seen] of Object.entries(await waysTo(upload, other.token))) {
        expect([way, seen]).toEqual([way, hidden])
      }
    },
  )

  test('is not visible to a read-only token of its creator', async () => {
    const upload = await createUpload(transport)
    const { secret } = await createToken(holdall, { scopes: ['FILES_READ'] }, maker)
    for (const [way, seen] of Object.entries(await waysTo(upload, secret))) {
      expect([way, seen]).toEqual([way, hidden])
    }
  })

  test('is not visible to its creator as a VIEWER', async () => {
    const upload = await createUpload(transport)
    const demoted = { workspaceId, userId: maker.userId, role: 'VIEWER' }
    await act(holdall, 'updateMember', demoted, '__typename')
    for (const [way, seen] of Object.entries(await waysTo(upload, maker.token))) {
      expect([way, seen]).toEqual([way, hidden])
    }
  })

  test('is in the payload of createUploads, also for a write-only token', async () => {
    const { secret } = await createToken(holdall, { scopes: ['FILES_WRITE'] }, maker)
    const input = { workspaceId, name: 'a', size: 4, transport }
    const fields = 'results { upload { url } }'
    const { results } = await act(holdall, 'createUploads', { uploads: [input] }, fields, {
      token: secret,
    })
    expect(results[0].upload.url).toMatch(/^http/)
  })
})

describe('another user who knows the address of an upload', () => {
  test('cannot read, write or terminate it as a tus resource', async () => {
    const upload = await createUpload('TUS')
    const other = await invite(holdall, workspaceId, 'OWNER')
    for (const method of ['HEAD', 'PATCH', 'DELETE']) {
      const headers = {
        'tus-resumable': '1.0.0',
        'upload-offset': '0',
        'content-type': OFFSET_TYPE,
      }
      const body = method === 'PATCH' ? { body: 'evil' } : {}
      const init = { method, headers, token: other.token, ...body }
      expect([method, (await holdall.http(upload.url, init)).status]).toEqual([method, 404])
    }
    expect(await sendBytes(holdall, { ...upload, status: '' }, 'good', 0, maker)).toBe(4)
  })

  test('can send the bytes of a SIGNED_PUT, and neither read nor end it', async () => {
    const upload = await createUpload('SIGNED_PUT')
    const other = await invite(holdall, workspaceId, 'OWNER')
    for (const method of ['GET', 'HEAD', 'PATCH', 'DELETE', 'POST']) {
      const answer = await holdall.http(upload.url, { method, token: other.token })
      // A bucket has its own error for a method that is not signed.
      expect([403, 405]).toContain(answer.status)
    }
    if (!upload.url.startsWith(holdall.url)) return
    // The key in one kind of address is not valid in the other.
    const tus = upload.url.replace('/uploads/put/', '/uploads/')
    const headers = { 'tus-resumable': '1.0.0' }
    const head = await holdall.http(tus, { method: 'HEAD', headers, ...maker })
    expect(head.status).toBe(404)
  })
})
