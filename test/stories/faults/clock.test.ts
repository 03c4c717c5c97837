import { describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  downloadUrl,
  lookUp,
  sendBytes,
  trashEntries,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { findings } from '../../support/inspection.ts'
import { tusOf } from '../../support/network/tus.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const YEAR = 365 * 24 * HOUR

/** A server with a settable clock, a file, a trashed file, and a partly received upload. */
async function openAt(start: number, env: Record<string, string> = {}) {
  const clock = { now: start }
  const holdall = await startTestServer({ now: () => clock.now, env })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  const { id: workspaceId } = await createWorkspace(holdall)
  const file = await uploadFile(holdall, { workspaceId, name: 'kept.txt', bytes: 'kept' })
  const trashed = await uploadFile(holdall, { workspaceId, name: 'trashed.txt', bytes: 'trashed' })
  await trashEntries(holdall, trashed)
  const upload = await createUpload(holdall, { workspaceId, name: 'begun.txt', size: 5 })
  await sendBytes(holdall, upload, 'hel')
  await holdall.app.jobs.runDue()

  /** Moves the clock and runs the jobs, every minute. */
  async function pass(ms: number) {
    for (const end = clock.now + ms; clock.now < end; clock.now += MINUTE)
      await holdall.app.jobs.runDue()
    await holdall.app.jobs.runDue()
  }
  async function inTrash(): Promise<string[]> {
    const query =
      'query ($id: ID!) { workspace(by: { id: $id }) { trash(first: 9) { nodes { name } } } }'
    const { workspace } = await holdall.ask(query, { id: workspaceId })
    return workspace.trash.nodes.map(({ name }: { name: string }) => name)
  }
  async function expectNothingDeleted() {
    expect(await inTrash()).toEqual(['trashed.txt'])
    expect(await tusOf(holdall).offset(upload.url)).toBe(3)
    await sendBytes(holdall, upload, 'lo', 3)
    const made = await confirmUpload(holdall, { uploadId: upload.id })
    expect(`${await download(holdall, made.id)}`).toBe('hello')
    await act(holdall, 'restoreEntries', { entries: [{ entry: { id: trashed.id } }] }, 'succeeded')
    expect(`${await download(holdall, trashed.id)}`).toBe('trashed')
    expect(await findings(holdall)).toEqual([])
  }
  return { holdall, clock, workspaceId, file, trashed, upload, pass, inTrash, expectNothingDeleted }
}

const in2030 = Date.UTC(2030, 0, 1)

describe('F8: a clock that leaps', () => {
  test.each([
    ['an hour ahead, as with summer time', HOUR, { UPLOAD_TTL_HOURS: '1' }],
    ['ten years ahead', 10 * YEAR, {}],
    ['an hour back', -HOUR, {}],
    ['ten years back', -10 * YEAR, {}],
  ])('F8: %s, corrected nine minutes later, deletes nothing', async (_, leap, env) => {
    const { clock, pass, expectNothingDeleted } = await openAt(in2030, env)
    clock.now += leap
    await pass(9 * MINUTE)
    clock.now -= leap
    await pass(2 * MINUTE)
    await expectNothingDeleted()
  })

  test('F8: nor when the server starts with it', async () => {
    const { holdall, clock, expectNothingDeleted } = await openAt(in2030)
    clock.now += 10 * YEAR
    await holdall.restart()
    await holdall.app.jobs.runDue()
    clock.now -= 10 * YEAR
    await holdall.restart()
    await expectNothingDeleted()
  })

  test('F8: is believed the second time: expired objects are deleted', async () => {
    const { holdall, clock, pass, inTrash, workspaceId } = await openAt(in2030)
    clock.now += YEAR
    await holdall.app.jobs.runDue()
    expect(await inTrash()).toEqual(['trashed.txt'])
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 5 })
    await pass(11 * MINUTE)
    expect(await inTrash()).toEqual([])
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ reservedBytes: 0, storedBytes: 4 })
  })

  test('F8: back delays neither periodic jobs nor requested ones', async () => {
    const { holdall, clock, pass, inTrash, trashed, workspaceId } = await openAt(in2030)
    clock.now += 10 * YEAR
    await holdall.app.jobs.runDue()
    await act(holdall, 'purgeEntries', { entries: [{ entry: { id: trashed.id } }] }, 'freedBytes')
    clock.now -= 10 * YEAR
    await holdall.app.jobs.runDue()
    expect(await Array.fromAsync(holdall.app.blobs.list('kept'))).toHaveLength(1)
    const late = await uploadFile(holdall, { workspaceId, name: 'late.txt', bytes: 'late' })
    await trashEntries(holdall, late)
    await pass(20 * MINUTE)
    const rows = await holdall.app.db.selectFrom('jobs').select(['id', 'runAt']).execute()
    expect(rows.filter(({ runAt }) => runAt > clock.now + 25 * HOUR)).toEqual([])
    expect(await inTrash()).toEqual(['late.txt'])
  })

  test('F8: back keeps files, links and changes in order', async () => {
    const { holdall, clock, file, workspaceId } = await openAt(in2030)
    const link = await downloadUrl(holdall, file.id)
    clock.now -= HOUR
    expect((await holdall.http(link, { token: null })).status).toBe(200)
    const versionOf = file.id
    const newer = await uploadFile(holdall, { workspaceId, versionOf, name: 'x', bytes: 'newer' })
    expect(newer.version.number).toBe(2)
    expect(`${await download(holdall, file.id)}`).toBe('newer')
    const { versions } = await lookUp(
      holdall,
      file,
      '... on File { versions { nodes { number } } }',
    )
    expect(versions.nodes).toEqual([{ number: 2 }, { number: 1 }])
    expect(await findings(holdall)).toEqual([])
  })

  test('F8: back does not extend the lock of a share', async () => {
    const { holdall, clock, file } = await openAt(in2030)
    clock.now += 10 * YEAR
    const input = { entry: { id: file.id }, password: 'right' }
    const { shareLink } = await act(holdall, 'createShareLink', input, 'shareLink { token }')
    const open = async (password: string) => {
      const query = `query ($token: String!, $password: String) {
        shared(token: $token, password: $password) { entry { id } } }`
      return (await holdall.ask(query, { token: shareLink.token, password })).shared
    }
    for (let i = 0; i < 5; i += 1) expect(await open('wrong')).toBe(null)
    expect(await open('right')).toBe(null)
    clock.now -= 10 * YEAR
    expect(await open('right')).toEqual({ entry: { id: file.id } })
  })

  test('F8: back does not extend the minute of RATE_LIMIT', async () => {
    const { holdall, clock } = await openAt(in2030, { RATE_LIMIT: '20000' })
    const reset = async () => {
      const { headers } = await holdall.graphql('{ rateLimit { remaining } }')
      return Number(headers.get('ratelimit-reset'))
    }
    clock.now += 10 * YEAR
    await reset()
    clock.now -= 10 * YEAR
    expect(await reset()).toBeLessThanOrEqual(60)
  })
})

describe('F8: dates after 2038, and hours that repeat', () => {
  const last32BitSecond = Date.UTC(2038, 0, 19, 3, 14, 7)
  const moments = 'createdAt updatedAt ... on File { version { createdAt } }'

  test('F8: files, links and tokens work after 2^31 seconds', async () => {
    const { holdall, clock, workspaceId, file, pass, expectNothingDeleted } =
      await openAt(last32BitSecond)
    clock.now += SECOND
    const next = await uploadFile(holdall, { workspaceId, name: 'next.txt', bytes: 'next' })
    const createdAt = '2038-01-19T03:14:08.000Z'
    const node = await lookUp(holdall, next, moments)
    expect(node).toMatchObject({ createdAt, updatedAt: createdAt, version: { createdAt } })
    expect((await lookUp(holdall, file, moments)).createdAt).toBe('2038-01-19T03:14:07.000Z')

    const wanted = { name: 'until 2107', scopes: ['FILES_READ'], expiresAt: '2107-01-01T00:00:00Z' }
    const { secret } = await act(holdall, 'createApiToken', wanted, 'secret')
    const link = await downloadUrl(holdall, next.id)
    await pass(30 * MINUTE)
    expect((await holdall.http(link, { token: null })).status).toBe(200)
    clock.now += HOUR
    expect((await holdall.http(link, { token: null })).status).toBe(403)
    const read = async () => (await holdall.http(`/download/${next.id}`, { token: secret })).status
    expect(await read()).toBe(200)
    clock.now -= HOUR
    await expectNothingDeleted()
    clock.now = Date.UTC(2106, 11, 31, 23, 59, 59)
    expect(await read()).toBe(200)
    clock.now = Date.UTC(2107, 0, 1)
    expect(await read()).toBe(401)
  })

  test('F8: the hour that repeats in New York is stored once', async () => {
    const { TZ } = process.env
    process.env.TZ = 'America/New_York'
    onTestFinished(() => {
      if (TZ === undefined) delete process.env.TZ
      else process.env.TZ = TZ
    })
    const change = Date.UTC(2030, 10, 3, 6)
    const { holdall, clock, workspaceId } = await openAt(change - HOUR / 2, {
      UPLOAD_TTL_HOURS: '1',
    })
    expect(new Date(change - 1).getHours()).toBe(new Date(change + 1).getHours())
    const upload = await createUpload(holdall, { workspaceId, name: 'over-night', size: 2 })
    clock.now = change + HOUR / 2 - 1
    expect(await tusOf(holdall).offset(upload.url)).toBe(0)
    const made = await uploadFile(holdall, { workspaceId, name: 'a', bytes: 'a' })
    expect((await lookUp(holdall, made, moments)).createdAt).toBe('2030-11-03T06:29:59.999Z')
    clock.now += 1
    expect((await tusOf(holdall).head(upload.url)).status).toBe(410)
  })
})
