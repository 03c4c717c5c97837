import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { expect, test, vi } from 'vitest'
import { attempt, createUpload, createWorkspace } from '../../support/client.ts'
import { type Fate, openFaultyWay } from '../../support/faults/kinds/proxy.ts'
import { tusOf } from '../../support/network/tus.ts'
import { newS3Prefix, s3IsGiven } from '../../support/s3.ts'
import { emptyFolder, startProcess } from '../../support/servers/process.ts'
import { serverAt } from '../../support/servers/server-at.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

const MIB = 1024 * 1024
const ADMIN_TOKEN = 'a-bucket-that-is-not-well'
const refusal = '<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>'

vi.setConfig({ testTimeout: 120_000 })

/** One fault after the other; every third request passes. */
function fates() {
  const kinds: Fate[] = [
    { status: 503, body: refusal },
    { cutRequestAfter: 64 * 1024 },
    { cutAnswerAfter: 10 },
    { status: 500, body: 'no XML at all' },
  ]
  const met = { count: 0, on: false }
  const fateOf = ({ method }: IncomingMessage) => {
    if (!met.on || method === 'HEAD' || met.count++ % 3 === 2) return null
    return kinds[met.count % kinds.length] ?? null
  }
  return { met, fateOf }
}

/** In PATCHes of 3 MiB, so that the stored tail of one is read again while the next is written. */
async function uploadInPieces(holdall: TestServer, workspaceId: string, name: string) {
  const bytes = randomBytes(11 * MIB)
  const upload = await createUpload(holdall, { workspaceId, name, size: bytes.length })
  const tus = tusOf(holdall)
  for (let tries = 0; tries < 12; tries += 1) {
    const head = await tus.head(upload.url)
    const at = Number(head.headers.get('upload-offset'))
    if (head.status !== 200 || at === bytes.length) continue
    await tus.patch(upload.url, at, bytes.subarray(at, at + 3 * MIB)).catch(() => null)
  }
  await attempt(holdall, 'confirmUpload', { uploadId: upload.id }, '__typename').catch(() => null)
}

test.skipIf(!s3IsGiven)(
  'S35, F6: under all faults of the bucket each line of the log is JSON (needs S3_ENDPOINT and S3_BUCKET)',
  async () => {
    const place = newS3Prefix()
    const { met, fateOf } = fates()
    await using way = await openFaultyWay(place.S3_ENDPOINT ?? '', fateOf)
    const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '' } = process.env
    const server = await startProcess({
      ...{ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY },
      ...{ S3_BUCKET: place.S3_BUCKET ?? '', S3_PREFIX: place.S3_PREFIX ?? '' },
      ...{ S3_ENDPOINT: way.endpoint, ADMIN_TOKEN, DATA_DIR: await emptyFolder() },
    })
    const holdall = serverAt(server.url, ADMIN_TOKEN)
    const { id: workspaceId } = await createWorkspace(holdall)
    met.on = true
    for (let i = 0; i < 3; i += 1) await uploadInPieces(holdall, workspaceId, `${i}.bin`)
    met.on = false
    const { err } = await server.stop()
    const lines = err.split('\n').filter((line) => line !== '')
    expect(lines.length).toBeGreaterThan(0)
    for (const line of lines) expect(() => JSON.parse(line), line).not.toThrow()
  },
)
