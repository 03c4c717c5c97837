import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { confirmUpload, createUpload, createWorkspace } from '../support/client.ts'
import { startServer } from '../support/fleet.ts'

// One GiB to the S3 of S3_ENDPOINT and S3_BUCKET: through Holdall, by one PATCH of curl and its confirm, and straight there by the
// SDK's own Upload (lib-storage); one after the other, in turns.

const ROUNDS = Number(process.argv[2] ?? 3)
const MIB = 1024 ** 2
const SIZE = 1024 * MIB
const run = promisify(execFile)
const { S3_ENDPOINT: endpoint = '', S3_BUCKET = '' } = process.env
if (!endpoint) throw new Error('S3_ENDPOINT and S3_BUCKET say where to')

await using stack = new AsyncDisposableStack()
const dir = await mkdtemp(join(tmpdir(), 'holdall-bench-'))
stack.defer(() => rm(dir, { recursive: true, force: true }))
const file = join(dir, 'gibibyte')
await fill()
const token = 'nobody-else-is-on-this-machine'
const prefix = `bench-${process.pid}/`
const server = stack.use(
  await startServer({ ...process.env, DATA_DIR: dir, ADMIN_TOKEN: token, S3_PREFIX: prefix }),
)
const { id: workspaceId } = await createWorkspace(server.house)

async function fill() {
  await using handle = await open(file, 'w')
  for (let at = 0; at < SIZE; at += 16 * MIB) await handle.write(randomBytes(16 * MIB))
}

async function throughHoldall(round: number) {
  const { id, url } = await createUpload(server.house, {
    workspaceId,
    name: `${round}`,
    size: SIZE,
  })
  const headers = {
    Authorization: `Bearer ${token}`,
    'Tus-Resumable': '1.0.0',
    'Upload-Offset': '0',
    'Content-Type': 'application/offset+octet-stream',
  }
  const said = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  await run('curl', ['-sSf', '-o', '/dev/null', '-X', 'PATCH', ...said, '-T', file, url])
  await confirmUpload(server.house, { uploadId: id })
}

async function bySdk(round: number) {
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true })
  const params = { Bucket: S3_BUCKET, Key: `${prefix}sdk/${round}`, Body: createReadStream(file) }
  await new Upload({ client, params }).done()
  client.destroy()
}

async function secondsOf(story: (round: number) => Promise<void>, round: number) {
  const from = performance.now()
  await story(round)
  return (performance.now() - from) / 1000
}

const middle = (all: number[]) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0
const taken: { holdall: number[]; sdk: number[] } = { holdall: [], sdk: [] }
for (let round = 0; round < ROUNDS; round++) {
  taken.sdk.push(await secondsOf(bySdk, round))
  taken.holdall.push(await secondsOf(throughHoldall, round))
}
const [holdall, sdk] = [middle(taken.holdall), middle(taken.sdk)]
console.log(`1 GiB to ${endpoint}, the middle of ${ROUNDS} in turns:`)
console.log(
  `  Holdall ${holdall.toFixed(2)} s   SDK ${sdk.toFixed(2)} s   ${(holdall / sdk).toFixed(2)} ×`,
)
console.log(`  memory of Holdall at most ${(await server.peakMegabytes()).toFixed(0)} MB`)
