import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  act,
  attempt,
  createUpload,
  createWorkspace,
  sendBytes,
  uploadFile,
  usageOf,
} from '../../support/client.ts'
import { keysOf } from '../../support/data/bytes.ts'
import { createToken, invite, type Person } from '../../support/data/people.ts'
import { zipOf } from '../../support/data/zips.ts'
import { findings } from '../../support/inspection.ts'
import { metadata, OFFSET_TYPE, type Raw, rawRequest, until } from '../../support/network/tus.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let later: number
let ann: Person
/** A token that ann created for a service account. */
let robot: { id: string; secret: string; userId: string }
beforeEach(async () => {
  later = 0
  holdall = await startTestServer({ now: () => Date.now() + later })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(holdall)).id
  ann = await invite(holdall, workspaceId, 'OWNER')
  const account = { workspaceId, name: 'robot', role: 'EDITOR' }
  const { member } = await act(holdall, 'createServiceAccount', account, 'member { user { id } }')
  const userId: string = member.user.id
  robot = { userId, ...(await createToken(holdall, { workspaceId, userId }, ann)) }
})

const removeAnn = () =>
  act(holdall, 'removeMember', { workspaceId, userId: ann.userId }, '__typename')
const demoteAnn = () =>
  act(holdall, 'updateMember', { workspaceId, userId: ann.userId, role: 'EDITOR' }, '__typename')
const revoke = () => act(holdall, 'revokeApiToken', { tokenId: robot.id }, '__typename')

const SIZE = 200_000
const half = Buffer.alloc(SIZE / 2, 'a')
const as = (secret: string) => ({ Authorization: `Bearer ${secret}` })
const patched = (length: number) => ({
  'Content-Type': OFFSET_TYPE,
  'Content-Length': String(length),
})
const formHead = (name: string) =>
  `--b\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`
const formTail = '\r\n--b--\r\n'

type Body = { raw: Raw; tail: string }
const newTus = (name: string) => ({
  'Upload-Length': String(SIZE),
  'Upload-Metadata': metadata({ filename: name, workspaceId, confirm: 'auto' }),
})
async function patchTo(secret: string, url: string): Promise<Body> {
  const headers = { ...as(secret), ...patched(SIZE), 'Upload-Offset': '0' }
  return { raw: await rawRequest(holdall, 'PATCH', url, headers), tail: '' }
}
async function beginConfirmingPatch(secret: string): Promise<Body> {
  const headers = { 'Tus-Resumable': '1.0.0', ...newTus('auto') }
  const created = await holdall.http('/uploads', { method: 'POST', headers, token: secret })
  return patchTo(secret, created.headers.get('location') ?? '')
}

/** Every kind of request whose body creates a file, begun by the holder of a token and half sent. */
const ways: Record<string, (secret: string) => Promise<Body>> = {
  'a PATCH that confirms': beginConfirmingPatch,
  async 'a PATCH that does not'(secret) {
    const input = { workspaceId, name: 'explicit', size: SIZE }
    return patchTo(secret, (await createUpload(holdall, input, { token: secret })).url)
  },
  async 'a POST that creates'(secret) {
    const headers = { ...as(secret), ...patched(SIZE), ...newTus('post') }
    return { raw: await rawRequest(holdall, 'POST', '/uploads', headers), tail: '' }
  },
  async 'a form'(secret) {
    const field = `--b\r\nContent-Disposition: form-data; name="workspaceId"\r\n\r\n${workspaceId}\r\n`
    const head = field + formHead('form')
    return beginForm(secret, head, formTail)
  },
  async 'a form that names its workspace at the end'(secret) {
    const field = `\r\n--b\r\nContent-Disposition: form-data; name="workspaceId"\r\n\r\n${workspaceId}`
    return beginForm(secret, formHead('late'), field + formTail)
  },
  async 'a signed PUT'(secret) {
    const input = { workspaceId, name: 'put', size: SIZE, transport: 'SIGNED_PUT' }
    const { url } = await createUpload(holdall, input, { token: secret })
    // A bucket takes the bytes itself, and nothing confirms them.
    if (!url.startsWith(holdall.url)) return beginConfirmingPatch(secret)
    const headers = { Authorization: '', 'Content-Length': String(SIZE) }
    return { raw: await rawRequest(holdall, 'PUT', url, headers), tail: '' }
  },
}

async function beginForm(secret: string, head: string, tail: string): Promise<Body> {
  const length = head.length + SIZE + tail.length
  const headers = {
    ...as(secret),
    'Content-Type': 'multipart/form-data; boundary=b',
    'Content-Length': String(length),
  }
  const raw = await rawRequest(holdall, 'POST', '/files', headers)
  await raw.write(head)
  return { raw, tail }
}

async function beginBodies(secret: string) {
  const begun: Record<string, Body> = {}
  for (const [name, begin] of Object.entries(ways)) {
    const body = await begin(secret)
    await body.raw.write(half)
    begun[name] = body
  }
  await until(async () => (await keysOf(holdall, 'staged')).length >= Object.keys(ways).length)
  return begun
}

const statusesOf = async (begun: Record<string, Body>) => {
  const statuses: Record<string, number> = {}
  for (const [name, { raw }] of Object.entries(begun)) {
    statuses[name] = (await raw.answer()).status
  }
  return statuses
}

async function finishAll(begun: Record<string, Body>) {
  for (const { raw, tail } of Object.values(begun)) {
    await raw.write(half)
    await raw.write(tail)
  }
  return statusesOf(begun)
}

async function runJobs() {
  await holdall.app.db
    .updateTable('jobs')
    .set({ runAt: 0 })
    .where('kind', '=', 'autoConfirm')
    .execute()
  await holdall.app.jobs.runDue()
}
const countFiles = async () => (await usageOf(holdall, workspaceId)).fileCount

const uploadsOf = async (userId: string): Promise<string[]> => {
  const rows = await holdall.app.db
    .selectFrom('uploads')
    .select(['name', 'status'])
    .where('createdBy', '=', userId)
    .orderBy('name')
    .execute()
  return rows.map(({ name, status }) => `${name} ${status}`)
}

describe('requests whose token is revoked before their body ends', () => {
  const refused = {
    'a PATCH that confirms': 401,
    'a PATCH that does not': 401,
    'a POST that creates': 401,
    'a form': 401,
    'a form that names its workspace at the end': 401,
    'a signed PUT': expect.toBeOneOf([403, 401]),
  }

  test('create no file, and respond so', async () => {
    const begun = await beginBodies(robot.secret)
    await revoke()
    expect(await finishAll(begun)).toEqual(refused)
    await runJobs()
    expect(await countFiles()).toBe(0)
    expect(await findings(holdall)).toEqual([])
  })

  test('create no file if the creator of the token is removed, and leave nothing reserved', async () => {
    const begun = await beginBodies(robot.secret)
    await removeAnn()
    const statuses = Object.values(await finishAll(begun))
    expect(statuses.filter((status) => status < 400)).toEqual([])
    await runJobs()
    expect(await usageOf(holdall, workspaceId)).toMatchObject({ fileCount: 0, reservedBytes: 0 })
    await until(async () => (await keysOf(holdall, 'staged')).length === 0)
    expect(await findings(holdall)).toEqual([])
  })

  test('are aborted within about five seconds, while those of other tokens continue', async () => {
    const begun = await beginBodies(robot.secret)
    const mine = await beginConfirmingPatch(holdall.token)
    await mine.raw.write(half)
    await revoke()
    const trickle = setInterval(() => {
      for (const { raw } of Object.values(begun)) raw.socket.write('a')
    }, 300)
    onTestFinished(() => clearInterval(trickle))
    expect(await statusesOf(begun)).toEqual(refused)
    await mine.raw.write(half)
    expect((await mine.raw.answer()).status).toBe(204)
    expect(await countFiles()).toBe(1)
  })

  test('create a file if the token has only expired meanwhile', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    const { secret } = await createToken(holdall, { workspaceId, expiresAt })
    const begun = await beginBodies(secret)
    later = 2 * 3_600_000
    const statuses = Object.values(await finishAll(begun))
    expect(statuses.filter((status) => status >= 300)).toEqual([])
    await runJobs()
    // Two are still to be confirmed.
    expect(await countFiles()).toBe(Object.keys(ways).length - 2)
  })
})

test('an import whose token is revoked before it ends leaves nothing behind', async () => {
  const members = Array.from({ length: 400 }, (_, i) => ({ name: `d/${i}.txt`, bytes: `${i}` }))
  const as = { token: robot.secret }
  const upload = await createUpload(
    holdall,
    { workspaceId, name: 'a.zip', size: zipOf(members).length },
    as,
  )
  await sendBytes(holdall, upload, zipOf(members), 0, as)
  const { workspace } = await holdall.ask(
    'query ($id: ID!) { workspace(by: { id: $id }) { root { id } } }',
    { id: workspaceId },
  )
  const input = { uploadId: upload.id, folder: { id: workspace.root.id } }
  const imported = attempt(holdall, 'importArchive', input, '__typename', as).then(
    () => 'done',
    (error: unknown) => String(error),
  )
  const room = holdall.app.db.selectFrom('uploads').select('id').where('transport', '=', 'FORM')
  await until(async () => (await room.execute()).length > 0, 15_000)
  await revoke()
  expect(await imported).toMatch(/valid token/)
  expect(await usageOf(holdall, workspaceId)).toMatchObject({
    fileCount: 0,
    reservedBytes: zipOf(members).length,
  })
})

describe('objects created with a service account’s tokens that end because their creator leaves', () => {
  /** One of these tokens, and one that another owner has created. */
  async function packed() {
    const other = await createToken(holdall, { workspaceId, userId: robot.userId })
    for (const [name, token] of [
      ['theirs', robot.secret],
      ['other', other.secret],
    ] as const) {
      const whole = await createUpload(
        holdall,
        { workspaceId, name: `${name} whole`, size: 4 },
        { token },
      )
      await sendBytes(holdall, whole, 'four', 0, { token })
      await createUpload(holdall, { workspaceId, name: `${name} begun`, size: 9 }, { token })
    }
    const file = await uploadFile(holdall, { workspaceId, name: 'shared', bytes: 'a' })
    const link = { entry: { id: file.id } }
    const made = await act(holdall, 'createShareLink', link, 'shareLink { url }', {
      token: robot.secret,
    })
    return made.shareLink.url as string
  }
  const opened = async (url: string) => (await holdall.http(url, { token: null })).status

  test.each([
    ['is removed', removeAnn],
    ['is no OWNER any more', demoteAnn],
  ] as const)('%s: uploads end, and share links stay with the account', async (_, happens) => {
    const url = await packed()
    await happens()
    expect(await uploadsOf(robot.userId)).toEqual([
      'other begun CREATED',
      'other whole RECEIVED',
      'theirs begun CANCELED',
      'theirs whole CANCELED',
    ])
    expect((await usageOf(holdall, workspaceId)).reservedBytes).toBe(13)
    expect(await opened(url)).toBe(200)
    await act(holdall, 'deleteServiceAccount', { userId: robot.userId }, '__typename')
    expect(await opened(url)).toBe(404)
    expect(await findings(holdall)).toEqual([])
  })
})
