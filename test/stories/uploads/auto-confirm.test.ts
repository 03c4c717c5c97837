import { randomBytes } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Upload } from 'tus-js-client'
import { describe, expect, test } from 'vitest'
import type { UploadStatus } from '../../../src/database/tables.ts'
import { uploadUrl } from '../../../src/domains/uploads/reads.ts'
import { createUpload } from '../../../src/domains/uploads/writes.ts'
import {
  act,
  attempt,
  confirmUpload,
  createWorkspace,
  download,
  entryByPath,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { createToken } from '../../support/data/people.ts'
import { database } from '../../support/databases.ts'
import { selfConfirming, selfRefused } from '../../support/faults/operations.ts'
import { injectFaults } from '../../support/faults/plan.ts'
import { type FaultCase, formatCounts } from '../../support/faults/walk.ts'
import { findings } from '../../support/inspection.ts'
import { metadata, openTus, tusOf, until } from '../../support/network/tus.ts'
import { newS3Prefix, s3IsGiven } from '../../support/s3.ts'
import { openProcess } from '../../support/servers/killable.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

const HOUR = 3_600_000
const length = { 'Upload-Length': '5' }

/** Makes commits of blobs fail, as an unmounted folder does. Returns a function that repairs it. */
async function breakCommits({ dir }: Pick<TestServer, 'dir'>) {
  const [kept, aside] = [join(dir, 'blobs/kept'), join(dir, 'kept-aside')]
  await rename(kept, aside)
  await writeFile(kept, '')
  return async () => {
    await rm(kept)
    await rename(aside, kept)
  }
}

const jobsOf = ({ app }: TestServer) =>
  app.db.selectFrom('jobs').selectAll().where('kind', '=', 'autoConfirm').execute()

/** Makes the jobs of confirms due, and runs them. */
async function runConfirms(holdall: TestServer) {
  await holdall.app.db
    .updateTable('jobs')
    .set({ runAt: 0 })
    .where('kind', '=', 'autoConfirm')
    .execute()
  await holdall.app.jobs.runDue()
}

type Tus = Awaited<ReturnType<typeof openTus>>
const declared = ({ workspaceId }: Tus) => ({ workspaceId, filename: 'a.txt', confirm: 'auto' })
const posted = (tus: Tus, headers: Record<string, string>, body?: string) =>
  tus.post({ 'Upload-Metadata': metadata(declared(tus)), ...headers }, body)

/** The ways in which an upload gets its last byte, each with broken storage; each returns its URL. */
const ways: Record<string, (tus: Tus) => Promise<{ url: string; repair: () => Promise<void> }>> = {
  async PATCH(tus) {
    const url = await tus.create(declared(tus), length)
    await tus.patch(url, 0, 'hel')
    const repair = await breakCommits(tus.holdall)
    expect((await tus.patch(url, 3, 'lo')).status).toBe(500)
    return { url, repair }
  },
  async 'creation-with-upload'(tus) {
    const repair = await breakCommits(tus.holdall)
    const made = await posted(tus, length, 'hello')
    return { url: made.headers.get('location') ?? '', repair }
  },
  async 'a deferred length that the upload has already'(tus) {
    const url = await tus.create(declared(tus), { 'Upload-Defer-Length': '1' })
    await tus.patch(url, 0, 'hello')
    const repair = await breakCommits(tus.holdall)
    expect((await tus.patch(url, 5, '', length)).status).toBe(500)
    return { url, repair }
  },
  async 'a creation without a byte whose process dies'({ holdall, workspaceId }) {
    const viewer = await holdall.app.contextFor(`Bearer ${holdall.token}`, holdall.url)
    const made = { workspaceId, name: 'a.txt', size: 0, autoConfirm: true }
    const upload = await createUpload(viewer, made)
    return { url: uploadUrl(viewer, upload.id), repair: await breakCommits(holdall) }
  },
}
const broken = (tus: Tus) => (ways.PATCH as (typeof ways)[string])(tus)

describe('an upload that confirms itself, with failing storage', () => {
  test.each(Object.entries(ways))(
    'after %s: HEAD responds 423, and the job creates the file',
    async (_, send) => {
      await using tus = await openTus()
      const { holdall, workspaceId } = tus
      const { url, repair } = await send(tus)
      const head = await tus.head(url)
      expect([head.status, head.headers.get('retry-after')]).toEqual([423, '1'])
      expect(await jobsOf(holdall)).toHaveLength(1)
      await runConfirms(holdall)
      expect((await tus.head(url)).status).toBe(423)
      await repair()
      await runConfirms(holdall)
      const file = await entryByPath(holdall, workspaceId, 'a.txt')
      const after = await tus.head(url)
      expect([after.status, after.headers.get('holdall-file-id')]).toEqual([200, file?.id])
      expect(await jobsOf(holdall)).toEqual([])
      expect(await findings(holdall)).toEqual([])
    },
  )

  test('after a concatenation: the job that joins the parts also creates the file', async () => {
    await using tus = await openTus()
    const { holdall, workspaceId } = tus
    const urls: string[] = []
    for (const part of ['hello ', 'world']) {
      const headers = { 'Upload-Concat': 'partial', 'Upload-Length': `${part.length}` }
      const url = await tus.create({ workspaceId }, headers)
      await tus.patch(url, 0, part)
      urls.push(new URL(url).pathname)
    }
    const repair = await breakCommits(holdall)
    const concat = { 'Upload-Concat': `final;${urls.join(' ')}` }
    const made = posted(tus, concat)
    await until(async () =>
      (await holdall.app.db.selectFrom('jobs').selectAll().execute()).some(
        ({ lastError }) => lastError,
      ),
    )
    await repair()
    await until(async () => (await entryByPath(holdall, workspaceId, 'a.txt')) !== null, 20_000)
    const url = (await made).headers.get('location') ?? ''
    expect((await tus.head(url)).status).toBe(200)
    expect(await jobsOf(holdall)).toEqual([])
  }, 60_000)

  test('a client that repeats the last PATCH gets the offset, and an empty PATCH at the end confirms', async () => {
    await using tus = await openTus()
    const { holdall, workspaceId } = tus
    const { url, repair } = await broken(tus)
    const repeated = await tus.patch(url, 3, 'lo')
    expect([repeated.status, repeated.headers.get('upload-offset')]).toEqual([409, '5'])
    expect((await tus.patch(url, 5, '')).status).toBe(500)
    await repair()
    expect((await tus.patch(url, 5, '')).status).toBe(204)
    expect(await entryByPath(holdall, workspaceId, 'a.txt')).not.toBe(null)
    expect(await jobsOf(holdall)).toEqual([])
  })

  test('tus-js-client does not report success before the file exists', async () => {
    await using tus = await openTus()
    const { holdall, workspaceId } = tus
    const repair = await breakCommits(holdall)
    const heads: number[] = []
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const upload = new Upload(Buffer.from('hello'), {
      endpoint: `${holdall.url}/uploads`,
      headers: { Authorization: `Bearer ${holdall.token}` },
      retryDelays: Array.from({ length: 100 }, () => 200),
      metadata: declared(tus),
      onAfterResponse(request, response) {
        if (request.getMethod() === 'HEAD') heads.push(response.getStatus())
        if (heads.length === 3) void repair()
      },
      onSuccess: () => resolve(),
      onError: reject,
    })
    upload.start()
    await promise
    expect(heads.slice(0, 3)).toEqual([423, 423, 423])
    expect(await entryByPath(holdall, workspaceId, 'a.txt')).not.toBe(null)
  })

  test('S26: it does not expire before its confirm', async () => {
    let now = Date.UTC(2030, 0, 1)
    await using tus = await openTus({ now: () => now })
    const { holdall, workspaceId } = tus
    const { url, repair } = await broken(tus)
    for (let hours = 0; hours < 50; hours += 1) {
      now += HOUR
      await holdall.app.jobs.runDue()
    }
    expect((await tus.head(url)).status).toBe(423)
    await repair()
    expect(await findings(holdall)).toEqual([])
    await runConfirms(holdall)
    expect((await tus.head(url)).headers.get('holdall-upload-status')).toBe('COMPLETE')
    const file = await entryByPath(holdall, workspaceId, 'a.txt')
    expect(`${await download(holdall, file?.id ?? '')}`).toBe('hello')
  })

  test('it expires once the storage has failed for a week', async () => {
    let now = Date.UTC(2030, 0, 1)
    await using tus = await openTus({ now: () => now })
    const { holdall, workspaceId } = tus
    const { url, repair } = await broken(tus)
    now += 8 * 24 * HOUR + HOUR
    await runConfirms(holdall)
    await repair()
    expect([(await tus.head(url)).status, await jobsOf(holdall)]).toEqual([410, []])
    now += 25 * HOUR
    for (let minutes = 0; minutes < 12; minutes += 1) {
      await holdall.app.jobs.runDue()
      now += 60_000
    }
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0 })
  })

  test('it leaves no job when it is cancelled', async () => {
    await using tus = await openTus()
    const { holdall } = tus
    const { url, repair } = await broken(tus)
    await repair()
    expect((await tus.terminate(url)).status).toBe(204)
    expect([await jobsOf(holdall), (await tus.head(url)).status]).toEqual([[], 410])
  })
})

describe('a refused automatic confirm is final', () => {
  const refused = async (tus: Tus) => {
    const url = await tus.create(declared(tus), length)
    const { holdall, workspaceId } = tus
    const other = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'x' })
    const last = await tus.patch(url, 0, 'hello')
    return { url, other, last, id: last.headers.get('holdall-upload-id') ?? '' }
  }
  const renameEntry = (holdall: TestServer, { id }: { id: string }) =>
    act(holdall, 'updateEntry', { entry: { id }, name: 'b.txt' }, '__typename')

  test('HEAD responds 410 and no job retries; confirmUpload creates the file once the name is free', async () => {
    await using tus = await openTus()
    const { holdall } = tus
    const { url, other, last, id } = await refused(tus)
    expect([last.status, (await tus.head(url)).status]).toEqual([422, 410])
    expect(await jobsOf(holdall)).toEqual([])
    const again = await attempt(holdall, 'confirmUpload', { uploadId: id }, 'file { id }')
    expect(again).toMatchObject({ code: 'NAME_CONFLICT' })
    await renameEntry(holdall, other)
    await holdall.restart()
    expect((await tus.head(url)).status).toBe(410)
    const file = await confirmUpload(holdall, { uploadId: id })
    const head = await tus.head(url)
    expect([head.status, head.headers.get('holdall-file-id')]).toEqual([200, file.id])
  })

  test('also in the job: the name was taken, or the creator’s token was revoked', async () => {
    await using tus = await openTus()
    const { holdall, workspaceId } = tus
    const token = await createToken(holdall, { scopes: ['FILES_READ', 'FILES_WRITE'] })
    const url = await tus.create(declared(tus), length)
    const asToken = tusOf({
      ...holdall,
      http: (path, init) => holdall.http(path, { ...init, token: token.secret }),
    })
    const second = await asToken.create({ ...declared(tus), filename: 'c.txt' }, length)
    const repair = await breakCommits(holdall)
    expect((await tus.patch(url, 0, 'hello')).status).toBe(500)
    expect((await asToken.patch(second, 0, 'hello')).status).toBe(500)
    await repair()
    await act(holdall, 'revokeApiToken', { tokenId: token.id }, '__typename')
    await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'x' })
    await runConfirms(holdall)
    for (const of of [url, second]) expect((await tus.head(of)).status).toBe(410)
    expect(await jobsOf(holdall)).toEqual([])
    const { workspace } = await holdall.ask(
      'query ($id: ID!) { workspace(by: { id: $id }) { uploads { nodes { name status failures { code } } } } }',
      { id: workspaceId },
    )
    const codes = workspace.uploads.nodes.map((upload: any) => [
      upload.name,
      upload.failures.at(-1)?.code,
    ])
    expect(Object.fromEntries(codes)).toMatchObject({
      'a.txt': 'NAME_CONFLICT',
      'c.txt': 'FORBIDDEN',
    })
  })

  test('but not in the job if the token has only expired since the last byte', async () => {
    let now = Date.now()
    await using tus = await openTus({ now: () => now })
    const { holdall } = tus
    const expiresAt = new Date(now + HOUR).toISOString()
    const { secret } = await createToken(holdall, { expiresAt })
    const http: TestServer['http'] = (path, init) => holdall.http(path, { ...init, token: secret })
    const url = await tusOf({ ...holdall, http }).create(declared(tus), length)
    const repair = await breakCommits(holdall)
    expect((await tusOf({ ...holdall, http }).patch(url, 0, 'hello')).status).toBe(500)
    await repair()
    now += 2 * HOUR
    await runConfirms(holdall)
    expect((await tus.head(url)).headers.get('holdall-file-id')).toMatch(/^file_/)
  })

  test('it can be confirmed for as long as an upload that was just completed', async () => {
    let now = Date.UTC(2030, 0, 1)
    await using tus = await openTus({ now: () => now })
    const { holdall } = tus
    const { url, other } = await refused(tus)
    now += 23 * HOUR
    await renameEntry(holdall, other)
    expect((await tus.patch(url, 5, '')).status).toBe(204)
  })
})

test('unconfirmed uploads of an older version are confirmed at the next start', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const { db } = holdall.app
  const declaredUrl = await tus.create({ ...declared(tus), filename: 'b.txt' }, length)
  const { url, repair } = await broken(tus)
  await tus.patch(declaredUrl, 0, 'hello')
  await repair()
  // Killed after the last byte, and after the deferred length became known.
  await db.deleteFrom('jobs').where('kind', '=', 'autoConfirm').execute()
  const status: UploadStatus = 'RECEIVING'
  await db.updateTable('uploads').set({ status }).where('name', '=', 'b.txt').execute()
  await holdall.restart()
  for (const name of ['a.txt', 'b.txt']) {
    await until(async () => (await entryByPath(holdall, workspaceId, name)) !== null, 15_000)
  }
  for (const of of [url, declaredUrl]) expect((await tus.head(of)).status).toBe(200)
})

test('F1: killed twenty times around the last byte: every complete upload becomes a file by itself', async () => {
  await using process = await openProcess()
  const { holdall, start, kill } = process
  const { id: workspaceId } = await createWorkspace(holdall)
  const rounds = Array.from({ length: 20 }, (_, i) => ({
    filename: `${i}.bin`,
    bytes: randomBytes(200_000 + i),
  }))
  const urls = new Map<string, string>()
  for (const [i, { filename, bytes }] of rounds.entries()) {
    const url = await tusOf(holdall).create(
      { workspaceId, filename, confirm: 'auto' },
      { 'Upload-Length': `${bytes.length}` },
    )
    urls.set(filename, url)
    const sending = tusOf(holdall)
      .patch(url, 0, bytes)
      .catch(() => null)
    await sleep(i * 1.5)
    await kill()
    await sending
    await start()
  }
  const complete = async (filename: string) => {
    const head = await tusOf(holdall).head(urls.get(filename) ?? '')
    const offset = Number(head.headers.get('upload-offset'))
    const isFile = head.headers.get('holdall-file-id') !== null
    return { status: head.status, offset, isFile }
  }
  for (const { filename, bytes } of rounds) {
    await until(async () => (await complete(filename)).status !== 423, 20_000)
    const { status, offset, isFile } = await complete(filename)
    expect([status, isFile]).toEqual([200, offset === bytes.length])
    const file = await entryByPath(holdall, workspaceId, filename)
    expect(file !== null).toBe(isFile)
    if (file) expect((await download(holdall, file.id)).equals(bytes)).toBe(true)
  }
}, 600_000)

describe.each([selfConfirming, selfRefused])(
  'at every step of the last byte of an upload that confirms itself: $name',
  (operation) => {
    const injectAll = async (cases: FaultCase[], env = () => ({})) => {
      const counts = await injectFaults({ operations: [operation], cases, env, workers: 1 })
      console.log(formatCounts(counts).join('\n'))
      expect(Math.max(...(counts.get(operation.name)?.values() ?? []))).toBeGreaterThan(0)
    }

    test('F1: after a kill it becomes a file, or is refused, without being sent again', async () => {
      await injectAll([{ fault: 'KILL_AFTER' }, { fault: 'KILL_BEFORE_COMMIT' }])
    }, 600_000)

    test('F5, F7: after a failure no client sees success before the file exists', async () => {
      await injectAll(
        database === 'SQLite'
          ? [{ fault: 'EIO' }, { fault: 'LOST' }]
          : [{ fault: 'RESET' }, { fault: 'LOST' }],
      )
    }, 600_000)

    test.skipIf(!s3IsGiven)(
      'F6: with the bucket killed, refusing, cut off or silent',
      async () => {
        const env = () => ({ ...newS3Prefix(), DOWNLOADS: 'proxy' })
        await injectAll(
          [
            { fault: 'KILL_AFTER' },
            { fault: 'SLOW_DOWN', isPermanent: true },
            { fault: 'RESET' },
            { fault: 'LOST' },
          ],
          env,
        )
      },
      600_000,
    )
  },
)
