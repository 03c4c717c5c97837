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
} from '../support/client.ts'
import { findings } from '../support/inspection.ts'
import { openHouse } from '../support/test-server.ts'
import { tusOf } from '../support/tus.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const YEAR = 365 * 24 * HOUR

/** A house whose clock is set, with a file, one in the trash, and an upload that has a part of its bytes. */
async function openAt(start: number, env: Record<string, string> = {}) {
  const clock = { now: start }
  const house = await openHouse({ now: () => clock.now, env })
  onTestFinished(() => house[Symbol.asyncDispose]())
  const { id: workspaceId } = await createWorkspace(house)
  const file = await uploadFile(house, { workspaceId, name: 'kept.txt', bytes: 'kept' })
  const trashed = await uploadFile(house, { workspaceId, name: 'trashed.txt', bytes: 'trashed' })
  await trashEntries(house, trashed)
  const upload = await createUpload(house, { workspaceId, name: 'begun.txt', size: 5 })
  await sendBytes(house, upload, 'hel')
  await house.app.jobs.runDue()

  /** Time passes and the jobs look, every minute. */
  async function pass(ms: number) {
    for (const end = clock.now + ms; clock.now < end; clock.now += MINUTE)
      await house.app.jobs.runDue()
    await house.app.jobs.runDue()
  }
  async function inTrash(): Promise<string[]> {
    const query =
      'query ($id: ID!) { workspace(by: { id: $id }) { trash(first: 9) { nodes { name } } } }'
    const { workspace } = await house.ask(query, { id: workspaceId })
    return workspace.trash.nodes.map(({ name }: { name: string }) => name)
  }
  async function expectAllThere() {
    expect(await inTrash()).toEqual(['trashed.txt'])
    expect(await tusOf(house).offset(upload.url)).toBe(3)
    await sendBytes(house, upload, 'lo', 3)
    const made = await confirmUpload(house, { uploadId: upload.id })
    expect(`${await download(house, made.id)}`).toBe('hello')
    await act(house, 'restoreEntries', { entryIds: [trashed.id] }, 'succeeded')
    expect(`${await download(house, trashed.id)}`).toBe('trashed')
    expect(await findings(house)).toEqual([])
  }
  return { house, clock, workspaceId, file, trashed, upload, pass, inTrash, expectAllThere }
}

const in2030 = Date.UTC(2030, 0, 1)

describe('F8: a clock that leaps', () => {
  test.each([
    ['an hour ahead, as with summer time', HOUR, { UPLOAD_TTL_HOURS: '1' }],
    ['ten years ahead', 10 * YEAR, {}],
    ['an hour back', -HOUR, {}],
    ['ten years back', -10 * YEAR, {}],
  ])('F8: %s, and is put right nine minutes later, takes nothing away', async (_, leap, env) => {
    const { clock, pass, expectAllThere } = await openAt(in2030, env)
    clock.now += leap
    await pass(9 * MINUTE)
    clock.now -= leap
    await pass(2 * MINUTE)
    await expectAllThere()
  })

  test('F8: with which the house is opened, too', async () => {
    const { house, clock, expectAllThere } = await openAt(in2030)
    clock.now += 10 * YEAR
    await house.restart()
    await house.app.jobs.runDue()
    clock.now -= 10 * YEAR
    await house.restart()
    await expectAllThere()
  })

  test('F8: for good is believed the second time: what is over goes', async () => {
    const { house, clock, pass, inTrash, workspaceId } = await openAt(in2030)
    clock.now += YEAR
    await house.app.jobs.runDue()
    expect(await inTrash()).toEqual(['trashed.txt'])
    expect(await usageOf(house, workspaceId)).toMatchObject({ reservedBytes: 5 })
    await pass(11 * MINUTE)
    expect(await inTrash()).toEqual([])
    expect(await usageOf(house, workspaceId)).toMatchObject({ reservedBytes: 0, storedBytes: 4 })
  })

  test('F8: back does not stop what comes again, nor what was asked for meanwhile', async () => {
    const { house, clock, pass, inTrash, trashed, workspaceId } = await openAt(in2030)
    clock.now += 10 * YEAR
    await house.app.jobs.runDue()
    await act(house, 'purgeEntries', { entryIds: [trashed.id] }, 'freedBytes')
    clock.now -= 10 * YEAR
    await house.app.jobs.runDue()
    expect(await Array.fromAsync(house.app.blobs.list('kept'))).toHaveLength(1)
    const late = await uploadFile(house, { workspaceId, name: 'late.txt', bytes: 'late' })
    await trashEntries(house, late)
    await pass(20 * MINUTE)
    const rows = await house.app.db.selectFrom('jobs').select(['id', 'runAt']).execute()
    expect(rows.filter(({ runAt }) => runAt > clock.now + 25 * HOUR)).toEqual([])
    expect(await inTrash()).toEqual(['late.txt'])
  })

  test('F8: back leaves files, links and changes in order', async () => {
    const { house, clock, file, workspaceId } = await openAt(in2030)
    const link = await downloadUrl(house, file.id)
    clock.now -= HOUR
    expect((await house.http(link, { token: null })).status).toBe(200)
    const versionOf = file.id
    const newer = await uploadFile(house, { workspaceId, versionOf, name: 'x', bytes: 'newer' })
    expect(newer.version.number).toBe(2)
    expect(`${await download(house, file.id)}`).toBe('newer')
    const { versions } = await lookUp(house, file, '... on File { versions { nodes { number } } }')
    expect(versions.nodes).toEqual([{ number: 2 }, { number: 1 }])
    expect(await findings(house)).toEqual([])
  })

  test('F8: back locks no share for longer than it would have been', async () => {
    const { house, clock, file } = await openAt(in2030)
    clock.now += 10 * YEAR
    const input = { entry: { id: file.id }, password: 'right' }
    const { shareLink } = await act(house, 'createShareLink', input, 'shareLink { token }')
    const open = async (password: string) => {
      const query = `query ($token: String!, $password: String) {
        shared(token: $token, password: $password) { entry { id } } }`
      return (await house.ask(query, { token: shareLink.token, password })).shared
    }
    for (let i = 0; i < 5; i += 1) expect(await open('wrong')).toBe(null)
    expect(await open('right')).toBe(null)
    clock.now -= 10 * YEAR
    expect(await open('right')).toEqual({ entry: { id: file.id } })
  })

  test('F8: back ends the minute of RATE_LIMIT that would last for years', async () => {
    const { house, clock } = await openAt(in2030, { RATE_LIMIT: '20000' })
    const reset = async () => {
      const { headers } = await house.graphql('{ rateLimit { remaining } }')
      return Number(headers.get('ratelimit-reset'))
    }
    clock.now += 10 * YEAR
    await reset()
    clock.now -= 10 * YEAR
    expect(await reset()).toBeLessThanOrEqual(60)
  })
})

describe('F8: years beyond 2038, and hours that come twice', () => {
  const last32BitSecond = Date.UTC(2038, 0, 19, 3, 14, 7)
  const moments = 'createdAt updatedAt ... on File { version { createdAt } }'

  test('F8: files, links and tokens of the second after 2^31 are as any others', async () => {
    const { house, clock, workspaceId, file, pass, expectAllThere } = await openAt(last32BitSecond)
    clock.now += SECOND
    const next = await uploadFile(house, { workspaceId, name: 'next.txt', bytes: 'next' })
    const createdAt = '2038-01-19T03:14:08.000Z'
    const told = await lookUp(house, next, moments)
    expect(told).toMatchObject({ createdAt, updatedAt: createdAt, version: { createdAt } })
    expect((await lookUp(house, file, moments)).createdAt).toBe('2038-01-19T03:14:07.000Z')

    const wish = { name: 'until 2107', scopes: ['FILES_READ'], expiresAt: '2107-01-01T00:00:00Z' }
    const { secret } = await act(house, 'createApiToken', wish, 'secret')
    const link = await downloadUrl(house, next.id)
    await pass(30 * MINUTE)
    expect((await house.http(link, { token: null })).status).toBe(200)
    clock.now += HOUR
    expect((await house.http(link, { token: null })).status).toBe(403)
    const read = async () => (await house.http(`/download/${next.id}`, { token: secret })).status
    expect(await read()).toBe(200)
    clock.now -= HOUR
    await expectAllThere()
    clock.now = Date.UTC(2106, 11, 31, 23, 59, 59)
    expect(await read()).toBe(200)
    clock.now = Date.UTC(2107, 0, 1)
    expect(await read()).toBe(401)
  })

  test('F8: the hour that comes twice in New York comes once here', async () => {
    const { TZ } = process.env
    process.env.TZ = 'America/New_York'
    onTestFinished(() => {
      if (TZ === undefined) delete process.env.TZ
      else process.env.TZ = TZ
    })
    const change = Date.UTC(2030, 10, 3, 6)
    const { house, clock, workspaceId } = await openAt(change - HOUR / 2, { UPLOAD_TTL_HOURS: '1' })
    expect(new Date(change - 1).getHours()).toBe(new Date(change + 1).getHours())
    const upload = await createUpload(house, { workspaceId, name: 'over-night', size: 2 })
    clock.now = change + HOUR / 2 - 1
    expect(await tusOf(house).offset(upload.url)).toBe(0)
    const made = await uploadFile(house, { workspaceId, name: 'a', bytes: 'a' })
    expect((await lookUp(house, made, moments)).createdAt).toBe('2030-11-03T06:29:59.999Z')
    clock.now += 1
    expect((await tusOf(house).head(upload.url)).status).toBe(410)
  })
})
