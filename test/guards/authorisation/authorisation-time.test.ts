import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../../src/database/ids.ts'
import { uploadUrl } from '../../../src/domains/uploads/reads.ts'
import { act } from '../../support/client.ts'
import { createToken } from '../../support/data/people.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { statementsOf } from '../schema/plan-steps.ts'
import { createTenant, type Place, strangersToken } from './tenant-fixture.ts'

const PAIRS = 300
let holdall: TestServer
let theirs: Place
let token: string
beforeAll(async () => {
  holdall = await startTestServer({ env: { SCRUB_DAYS: '0' } })
  // Background jobs would disturb the measurement.
  await holdall.app.jobs.stop()
  theirs = await createTenant(holdall, 'theirs')
  token = await strangersToken(holdall)
})
afterAll(() => holdall?.[Symbol.asyncDispose]())

/**
 * Returns the median duration of each in milliseconds. They run in turns, so that other load affects all.
 */
async function medians(asks: (() => Promise<unknown>)[]): Promise<number[]> {
  const taken: number[][] = asks.map(() => [])
  for (let i = -20; i < PAIRS; i++) {
    for (const at of asks.keys()) {
      const which = (at + i + 20) % asks.length
      const startedAt = performance.now()
      await asks[which]?.()
      if (i >= 0) taken[which]?.push(performance.now() - startedAt)
    }
  }
  return taken.map((times) => times.sort((a, b) => a - b)[PAIRS / 2] ?? 0)
}

/** Expects medians within a quarter, or within 0.3 ms; repeats once, as the machine may be busy. */
async function expectAlike(...asks: (() => Promise<unknown>)[]) {
  const areSimilar = (times: number[]) => {
    const [least, most] = [Math.min(...times), Math.max(...times)]
    return most - least <= Math.max(0.25 * least, 0.3)
  }
  const first = await medians(asks)
  if (areSimilar(first)) return
  const second = await medians(asks)
  expect([areSimilar(second), ...first, ...second]).toEqual([true, ...first, ...second])
}

async function read(path: string, as = token, method = 'GET') {
  const headers = { 'tus-resumable': '1.0.0' }
  const response = await holdall.http(path, { method, headers, token: as })
  return [response.status, await response.text()]
}
const node = (id: string) =>
  holdall.graphql('query ($id: ID!) { node(id: $id) { id } }', { id }, { token })
const updateTag = (tagId: string) => {
  const query = `mutation ($tagId: ID!) { updateTag(input: { tagId: $tagId }) { ... on UserError { code } } }`
  return holdall.graphql(query, { tagId }, { token })
}

describe('S8: answers foreign and unknown ids in the same time', () => {
  test('node(id:)', () =>
    expectAlike(
      () => node(theirs.fileId),
      () => node(newId('file')),
    ))

  test('a mutation', () =>
    expectAlike(
      () => updateTag(theirs.tagId),
      () => updateTag(newId('tag')),
    ))

  test('a download by id', () =>
    expectAlike(
      () => read(`/download/${theirs.fileId}`),
      () => read(`/download/${newId('file')}`),
    ))

  test('an upload', () => {
    const at = (id: string) =>
      uploadUrl({ publicUrl: '', signingKeys: holdall.app.signingKeys }, id)
    return expectAlike(
      () => read(at(theirs.uploadId), token, 'HEAD'),
      () => read(at(newId('upl')), token, 'HEAD'),
    )
  })
})

describe('S13: a token that is unknown, revoked, expired or almost right', () => {
  async function wrongTokens() {
    const revoked = await createToken(holdall)
    await act(holdall, 'revokeApiToken', { tokenId: revoked.id }, '__typename')
    const expired = await createToken(holdall)
    await holdall.app.db
      .updateTable('apiTokens')
      .set({ expiresAt: 1 })
      .where('id', '=', expired.id)
      .execute()
    const near = holdall.token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))
    const far = holdall.token.replace(/(?<=_)./, (first) => (first === 'A' ? 'B' : 'A'))
    const unknown = `hld_${'0'.repeat(43)}`
    return [unknown, revoked.secret, expired.secret, near, far]
  }
  const path = () => `/download/${theirs.fileId}`

  test('is refused in the same words, after the same statements', async () => {
    const seen = new Set<string>()
    for (const wrong of await wrongTokens()) {
      let answer: unknown
      const statements = await statementsOf(holdall.app.db, async () => {
        answer = await read(path(), wrong)
      })
      seen.add(JSON.stringify([answer, statements.map(({ sql }) => sql)]))
    }
    expect([...seen]).toHaveLength(1)
  })

  test('is refused in the same time', async () => {
    const [unknown = '', revoked = '', , near = ''] = await wrongTokens()
    await expectAlike(...[unknown, revoked, near].map((wrong) => () => read(path(), wrong)))
  })
})
