import { describe, expect, test } from 'vitest'
import { startFuzzServer } from '../../fuzz/fuzz-server.ts'
import { fuzzOnServers } from '../../fuzz/rounds.ts'
import type { Subject } from '../../fuzz/runs.ts'
import { subjects } from '../../fuzz/subjects.ts'
import { parseJson } from '../../fuzz/verify-answer.ts'
import { sendRequest } from '../../fuzz/wire.ts'
import { attempt } from '../../support/client.ts'
import { database } from '../../support/databases.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

const { FUZZ_CASES, FUZZ_SEED, FUZZ_PATH } = process.env
/** The inputs are the same on both databases, so one of them gets all and the other a part. */
const wellKnown = database === 'SQLite' ? 150 : 30

const casesOf = ({ isSlow }: Subject) => Number(FUZZ_CASES ?? (isSlow ? wellKnown / 3 : wellKnown))
const timeout = 30_000 + Number(FUZZ_CASES ?? wellKnown) * 200

/** FUZZ_SEED and FUZZ_PATH, as a failure prints them, with -t and the subject repeat the one case. */
test.each(subjects)('$rows: fuzzed $name', { timeout }, async (subject) => {
  const cases = casesOf(subject)
  const bounds = { seed: Number(FUZZ_SEED ?? 1), cases, path: FUZZ_PATH }
  const figures = await fuzzOnServers(subject, bounds)
  if (FUZZ_CASES) console.log(`${subject.name}: ${figures.cases} cases, ${figures.accepted} taken`)
  if (FUZZ_PATH === undefined) expect(figures.cases).toBeGreaterThanOrEqual(cases)
})

describe('findings of the fuzzer', () => {
  test.each([{}, { PUBLIC_URL: 'https://files.example.org' }])(
    'S29, S34: an impossible Host is rejected, with %j',
    async (env) => {
      await using holdall = await startTestServer({ env })
      const fuzzServer = { holdall, url: new URL(holdall.url) }
      for (const Host of ['1.2.3.4.5', 'a:99999', '[::1::]']) {
        const requested = { path: '/graphql?query={__typename}', headers: { Host } }
        const { status, body } = await sendRequest(fuzzServer, requested)
        expect([status, parseJson(body).code]).toEqual([400, 'BAD_REQUEST'])
      }
    },
  )

  test('S34: variables of a GET that are not JSON are a client error', async () => {
    await using fuzzServer = await startFuzzServer()
    for (const name of ['variables', 'extensions']) {
      const path = `/graphql?query={__typename}&${name}={`
      const { status, body } = await sendRequest(fuzzServer, {
        path,
        headers: { accept: 'application/json' },
      })
      const [error] = parseJson(body).errors
      expect([status, error.message, error.extensions.code]).toEqual([
        400,
        `${name} is not JSON`,
        'BAD_REQUEST',
      ])
    }
  })

  test.each([
    ['half a surrogate pair', 'a\ud800'],
    ['U+0000', '\0'],
  ])('S2: %s is rejected wherever text is stored', async (_, text) => {
    await using fuzzServer = await startFuzzServer()
    const { holdall, workspaceId, uploadId, fileId, versionId } = fuzzServer
    const tried: [string, object][] = [
      ['updateWorkspace', { workspaceId, description: text }],
      ['createWorkspace', { name: text }],
      ['updateEntry', { entry: { id: fileId }, description: text }],
      ['createFolder', { workspaceId, name: 'x', description: text }],
      ['createUpload', { workspaceId, name: 'x', description: text }],
      ['confirmUpload', { uploadId, comment: text }],
      ['restoreVersion', { versionId, comment: text }],
      ['restoreVersion', { versionId, comment: 'x'.repeat(10_001) }],
      ['addMember', { workspaceId, email: 'ann@example.org', name: text }],
      ['createApiToken', { name: text, scopes: [] }],
    ]
    for (const [name, input] of tried) {
      const { code } = await attempt(holdall, name, { ...input }, '__typename')
      expect([name, code]).toEqual([name, 'INVALID_INPUT'])
    }
  })
})
