import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { Upload } from 'tus-js-client'
import { describe, expect, test, vi } from 'vitest'
import {
  confirmUpload,
  createFolder,
  createUpload,
  createWorkspace,
  download,
  downloadUrl,
  entryByPath,
} from '../../support/client.ts'
import { database } from '../../support/databases.ts'
import { markHandled } from '../../support/mark-handled.ts'
import { openStream } from '../../support/network/events.ts'
import { rawPatch, tusOf, until } from '../../support/network/tus.ts'
import { newS3Prefix, s3IsGiven } from '../../support/s3.ts'
import { type Cluster, openCluster } from '../../support/servers/cluster.ts'
import type { TestServer } from '../../support/servers/test-server.ts'
import { expectFast, timingRetries } from '../../support/timed.ts'

const MIB = 1024 * 1024
const ADMIN_TOKEN = 'three-processes-one-server'
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** The kinds of blob store. */
const stores = [
  ['a folder', () => ({})],
  ['a bucket', () => ({ ...newS3Prefix(), DOWNLOADS: 'proxy' })],
] as const

// Starting three processes takes time.
vi.setConfig({ testTimeout: 120_000 })

describe.skipIf(database === 'SQLite')('F10: several processes', () => {
  describe.each(stores.slice(0, s3IsGiven ? 2 : 1))('F10: over one database and %s', (_, place) => {
    const open = async () => {
      const cluster = await openCluster({ env: { ADMIN_TOKEN, ...place() } })
      return { ...cluster, workspaceId: (await createWorkspace(cluster.holdall)).id }
    }

    test('an upload whose chunks go to all of them in turn becomes a file', async () => {
      await using all = await open()
      const bytes = randomBytes(9 * MIB + 5)
      await uploadThrough(all, bytes, {
        workspaceId: all.workspaceId,
        filename: 'a.bin',
        confirm: 'auto',
      })
      const patches = all.proxy.passed.filter(({ method }) => method === 'PATCH')
      expect(new Set(patches.map(({ to }) => to))).toEqual(new Set([0, 1, 2]))
      expect(sha256(await bytesAt(all.holdall, all.workspaceId, 'a.bin'))).toBe(sha256(bytes))
    })

    test('an upload that all confirm at once is one file, which each returns', async () => {
      await using all = await open()
      const bytes = randomBytes(3 * MIB)
      const upload = await createUpload(all.at(0), {
        workspaceId: all.workspaceId,
        name: 'a.bin',
        size: bytes.length,
      })
      expect((await tusOf(all.at(1)).patch(upload.url, 0, bytes)).status).toBe(204)
      const files = await Promise.all(
        Array.from({ length: 9 }, (_, i) => confirmUpload(all.at(i % 3), { uploadId: upload.id })),
      )
      expect(new Set(files.map(({ id }) => id)).size).toBe(1)
      expect(files[0]?.sha256).toBe(sha256(bytes))
      const query =
        'query ($id: ID!) { workspace(by: { id: $id }) { usage { fileCount currentBytes reservedBytes } } }'
      const { workspace } = await all.holdall.ask(query, { id: all.workspaceId })
      expect(workspace.usage).toEqual({
        fileCount: 1,
        currentBytes: bytes.length,
        reservedBytes: 0,
      })
    })

    test(
      'a newer PATCH to another process ends the older one at once, and received bytes are kept',
      timingRetries,
      async () => {
        await using all = await open()
        const { url, id } = await createUpload(all.at(0), {
          workspaceId: all.workspaceId,
          name: 'a',
          size: 11,
        })
        const older = await rawPatch(all.at(0), urlAt(all, 0, url), 0, 11)
        await older.write('hello')
        await sleep(100)
        const began = performance.now()
        expect(await tusOf(all.at(1)).offset(url)).toBe(5)
        expect((await tusOf(all.at(2)).patch(url, 5, ' world')).status).toBe(204)
        expect(performance.now() - began).toBeLessThan(1500)
        const { status, headers } = await older.answer()
        expect([status, headers.get('upload-offset')]).toEqual([423, '5'])
        const file = await confirmUpload(all.holdall, { uploadId: id })
        expect((await download(all.holdall, file.id)).toString()).toBe('hello world')
      },
    )

    test('DELETE at one process ends a PATCH at another, and both report it', async () => {
      await using all = await open()
      const input = { workspaceId: all.workspaceId, name: 'a', size: 11 }
      const { url } = await createUpload(all.at(0), input)
      const older = await rawPatch(all.at(0), urlAt(all, 0, url), 0, 11)
      await older.write('hello')
      await sleep(100)
      expect((await tusOf(all.at(1)).terminate(url)).status).toBe(204)
      expect((await older.answer()).status).toBe(423)
      expect((await tusOf(all.at(2)).head(url)).status).toBe(410)
    })

    test('F17: a hung process is taken over within two seconds, and does no harm when it continues', async () => {
      await using all = await open()
      const [mine, its] = [randomBytes(2 * MIB), randomBytes(2 * MIB)]
      const size = mine.length
      const { url, id } = await createUpload(all.at(0), {
        workspaceId: all.workspaceId,
        name: 'a',
        size,
      })
      const older = await rawPatch(all.at(0), urlAt(all, 0, url), 0, size)
      await older.write(its.subarray(0, MIB))
      await sleep(100)
      all.members[0]?.freeze()
      // More than it had read: the rest is ready for when it continues.
      void older.write(its.subarray(MIB))
      const began = performance.now()
      const offset = await tusOf(all.at(1)).offset(url)
      const waited = performance.now() - began
      expect(offset).toBeLessThanOrEqual(MIB)
      const requested = performance.now()
      const { status } = await tusOf(all.at(2)).patch(url, offset, mine.subarray(offset))
      all.members[0]?.resume()
      expect(status).toBe(204)
      expect([waited, performance.now() - requested].filter((ms) => ms > 2000)).toEqual([])
      expect([423, 0]).toContain((await older.answer()).status)
      const whole = Buffer.concat([its.subarray(0, offset), mine.subarray(offset)])
      for (const at of [0, 1]) {
        const file = await confirmUpload(all.at(at), { uploadId: id })
        expect(file.sha256).toBe(sha256(whole))
      }
      const file = await confirmUpload(all.holdall, { uploadId: id })
      expect(sha256(await download(all.holdall, file.id))).toBe(sha256(whole))
    })

    test('concurrent PATCHes to all processes do not damage the upload, and none is answered 5xx', async () => {
      await using all = await open()
      const bytes = randomBytes(MIB)
      const { url, id } = await createUpload(all.at(0), {
        workspaceId: all.workspaceId,
        name: 'a',
        size: MIB,
      })
      const statuses = await Promise.all(
        Array.from(
          { length: 12 },
          async (_, i) => (await tusOf(all.at(i % 3)).patch(url, 0, bytes)).status,
        ),
      )
      expect(new Set(statuses).difference(new Set([204, 409, 413, 423]))).toEqual(new Set())
      const offset = await tusOf(all.holdall).offset(url)
      if (offset < MIB) await tusOf(all.holdall).patch(url, offset, bytes.subarray(offset))
      expect((await confirmUpload(all.holdall, { uploadId: id })).sha256).toBe(sha256(bytes))
    })

    test('kill -9 during an upload: the client continues with the other processes', async () => {
      await using all = await open()
      const bytes = randomBytes(48 * MIB)
      const metadata = { workspaceId: all.workspaceId, filename: 'a.bin', confirm: 'auto' }
      const sending = uploadThrough(all, bytes, metadata, { chunkSize: 16 * MIB, slowly: true })
      const uploading = markHandled(sending)
      const running = () =>
        all.proxy.passed.find(({ method, isOver }) => method === 'PATCH' && !isOver)
      await until(async () => running() !== undefined)
      await sleep(30)
      const victim = all.members[running()?.to ?? 0]
      await victim?.kill()
      await uploading
      expect(sha256(await bytesAt(all.holdall, all.workspaceId, 'a.bin'))).toBe(sha256(bytes))
    })

    test('kill -9 during a job: another process completes it', async () => {
      await using all = await open()
      const part = randomBytes(24 * MIB)
      const tus = tusOf(all.at(0))
      const partial = { 'Upload-Concat': 'partial', 'Upload-Length': String(part.length) }
      const urls: string[] = []
      for (let i = 0; i < 6; i += 1) {
        const url = await tus.create({ workspaceId: all.workspaceId }, partial)
        expect((await tus.patch(url, 0, part)).status).toBe(204)
        urls.push(new URL(url).pathname)
      }
      const joining = tus
        .create(
          { workspaceId: all.workspaceId, filename: 'whole' },
          { 'Upload-Concat': `final;${urls.join(' ')}` },
        )
        .catch(() => null)
      await using db = await rowsOf(all)
      const job = async () =>
        (await db.query(`select "leaseOwner" from jobs where kind = 'joinParts'`)).rows[0]
      await until(async () => (await job())?.leaseOwner != null)
      await all.members[0]?.kill()
      await joining
      expect(await job()).toBeDefined()
      const ended = async () => (await job()) === undefined
      await until(ended, 40_000)
      const { rows } = await db.query(`select id from uploads where name = 'whole'`)
      const file = await confirmUpload(all.at(1), { uploadId: rows[0].id })
      expect(file.sha256).toBe(sha256(Buffer.concat(Array.from({ length: 6 }, () => part))))
    })

    test('F20: clients that retry notice nothing of a rolling restart', async () => {
      await using all = await open()
      const over = new AbortController()
      const sent = new Map<string, string>()
      const queries = { right: 0 }
      const uploading = async (who: number) => {
        for (let round = 0; !over.signal.aborted; round += 1) {
          const [bytes, filename] = [randomBytes(5 * MIB), `${who}-${round}.bin`]
          await uploadThrough(all, bytes, {
            workspaceId: all.workspaceId,
            filename,
            confirm: 'auto',
          })
          sent.set(filename, sha256(bytes))
        }
      }
      const asking = async () => {
        for (; !over.signal.aborted; queries.right += 1) {
          await askWithRetries(all.holdall, all.workspaceId)
          await sleep(10)
        }
      }
      const busy = Promise.all([uploading(1), uploading(2), asking()])
      const restart = async () => {
        for (const member of all.members) {
          expect(await member.stop()).toBe(0)
          await member.start()
        }
      }
      await Promise.race([restart(), busy])
      over.abort()
      await busy
      expect(queries.right).toBeGreaterThan(20)
      expect(sent.size).toBeGreaterThan(2)
      for (const [name, hash] of sent) {
        expect(sha256(await bytesAt(all.holdall, all.workspaceId, name))).toBe(hash)
      }
      const query = 'query ($id: ID!) { workspace(by: { id: $id }) { usage { fileCount } } }'
      const { workspace } = await all.holdall.ask(query, { id: all.workspaceId })
      expect(workspace.usage.fileCount).toBe(sent.size)
    })
  })

  test('subscribers of one process receive changes made by the others', timingRetries, async () => {
    await using all = await openCluster({ env: { ADMIN_TOKEN } })
    const { id: workspaceId, root } = await createWorkspace(all.holdall)
    const query = `subscription ($id: ID!) { workspaceChanges(workspaceId: $id) {
      ... on ChangeBatch { changes { ... on EntryUpserted { entry { name } } } } } }`
    using stream = await openStream(all.at(0), query, { id: workspaceId })
    await stream.next()
    const waits: number[] = []
    for (let i = 0; i < 8; i += 1) {
      const name = `folder-${i}`
      await createFolder(all.at(1 + (i % 2)), { workspaceId, folder: { id: root.id }, name })
      const began = performance.now()
      const event = await stream.next()
      waits.push(performance.now() - began)
      expect(event?.data.data.workspaceChanges.changes).toEqual([{ entry: { name } }])
    }
    await expectFast(all.at(1), waits.sort((a, b) => a - b)[4] ?? 0, 50)
  })

  test(
    'without notifications processes poll, and a newer request still ends an older one',
    timingRetries,
    async () => {
      const LISTEN_DATABASE_URL = 'postgres://127.0.0.1:1/nowhere'
      await using all = await openCluster({ env: { ADMIN_TOKEN, LISTEN_DATABASE_URL } })
      const { id: workspaceId } = await createWorkspace(all.holdall)
      const { url } = await createUpload(all.at(0), { workspaceId, name: 'a', size: 11 })
      const older = await rawPatch(all.at(0), urlAt(all, 0, url), 0, 11)
      await older.write('hello')
      await sleep(100)
      const began = performance.now()
      expect((await tusOf(all.at(1)).patch(url, 5, ' world')).status).toBe(204)
      expect((await older.answer()).status).toBe(423)
      expect(performance.now() - began).toBeLessThan(2000)
    },
  )

  test('a token has one RATE_LIMIT over all processes', async () => {
    const limits = { RATE_LIMIT: '200', MAX_QUERY_COST: '150' }
    await using all = await openCluster({ env: { ADMIN_TOKEN, ...limits } })
    const left: number[] = []
    for (const index of [0, 1, 2, 0]) {
      const answer = await all.at(index).http('/download/file_none')
      left.push(Number(answer.headers.get('ratelimit-remaining')))
    }
    expect(left).toEqual([199, 198, 197, 196])
  })

  test('three processes that start at the same moment on an empty database become one installation', async () => {
    await using all = await openCluster({ isEmpty: true })
    expect(all.printed).toHaveLength(1)
    const { id: workspaceId } = await createWorkspace(all.at(0))
    const upload = await createUpload(all.at(1), { workspaceId, name: 'a.txt', size: 5 })
    expect((await tusOf(all.at(2)).patch(upload.url, 0, 'hello')).status).toBe(204)
    const file = await confirmUpload(all.at(0), { uploadId: upload.id })
    const link = await downloadUrl(all.at(1), file.id)
    for (const index of [0, 1, 2]) {
      expect(await (await all.at(index).http(link, { token: null })).text()).toBe('hello')
    }
  })
})

type Options = { chunkSize?: number; slowly?: boolean }

/** Retries as tus-js-client does, through the load balancer. */
function uploadThrough(
  { holdall }: Pick<Cluster, 'holdall'>,
  bytes: Buffer,
  metadata: Record<string, string>,
  { chunkSize = MIB, slowly = false }: Options = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const upload = new Upload(bytes as unknown as ConstructorParameters<typeof Upload>[0], {
      endpoint: `${holdall.url}/uploads`,
      headers: { Authorization: `Bearer ${holdall.token}` },
      retryDelays: [100, 200, 400, 800, 1600, 2000, 2000],
      chunkSize,
      metadata,
      ...(slowly && { onBeforeRequest: () => sleep(50) }),
      onSuccess: () => resolve(),
      onError: reject,
    })
    upload.start()
  })
}

/** A GraphQL client that retries if a server is closing or does not respond. */
async function askWithRetries(holdall: TestServer, workspaceId: string) {
  const query = 'query ($id: ID!) { workspace(by: { id: $id }) { name } }'
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { id: workspaceId } }),
  }
  for (let tries = 1; ; tries += 1) {
    const answer = await holdall.http('/graphql', init)
    if (answer.status === 200) return expect((await answer.json()).data.workspace.name).toBe('Lab')
    if (tries > 6 || answer.status < 500) throw new Error(`${answer.status} ${await answer.text()}`)
    await sleep(100 * tries)
  }
}

async function bytesAt(holdall: TestServer, workspaceId: string, path: string) {
  const file = await entryByPath(holdall, workspaceId, path)
  return download(holdall, file?.id ?? '')
}

/** Returns the URL of an upload at one of the processes. */
const urlAt = (all: Cluster, index: number, url: string) =>
  new URL(new URL(url).pathname, all.at(index).url).href

/** The rows, read directly from the database. */
async function rowsOf({ env }: Cluster) {
  const client = new Client({ connectionString: env.DATABASE_URL })
  await client.connect()
  return { query: (text: string) => client.query(text), [Symbol.asyncDispose]: () => client.end() }
}
