import { createHash, randomBytes } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type PreviousUpload, Upload, type UploadOptions, type UrlStorage } from 'tus-js-client'
import { expect, test } from 'vitest'
import { confirmUpload, createUpload, download, entryByPath } from '../../support/client.ts'
import { openTus } from '../../support/network/tus.ts'
import type { TestServer } from '../../support/servers/test-server.ts'

const MIB = 1024 * 1024
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

type Input = ConstructorParameters<typeof Upload>[0]

/** An upload of tus-js-client as applications write it; `offsets` are those of its PATCHes. */
function start(holdall: TestServer, input: Input, options: UploadOptions) {
  const offsets: number[] = []
  const { promise: done, resolve, reject } = Promise.withResolvers<void>()
  const upload = new Upload(input, {
    endpoint: `${holdall.url}/uploads`,
    headers: { Authorization: `Bearer ${holdall.token}` },
    retryDelays: null,
    onBeforeRequest: (req) => {
      const offset = req.getHeader('Upload-Offset')
      if (offset !== undefined) offsets.push(Number(offset))
    },
    onSuccess: () => resolve(),
    onError: reject,
    ...options,
  })
  return { upload, offsets, done }
}

/** The URL storage of a browser. */
function rememberedUploads(): UrlStorage {
  const uploads = new Map<string, PreviousUpload>()
  const all = () => [...uploads].map(([urlStorageKey, upload]) => ({ ...upload, urlStorageKey }))
  return {
    findAllUploads: async () => all(),
    findUploadsByFingerprint: async (print) =>
      all().filter(({ urlStorageKey }) => urlStorageKey.startsWith(print)),
    removeUpload: async (key) => void uploads.delete(key),
    addUpload: async (print, upload) => {
      const key = `${print}::${uploads.size}`
      uploads.set(key, upload)
      return key
    },
  }
}

async function bytesAt(holdall: TestServer, workspaceId: string, path: string) {
  const file = await entryByPath(holdall, workspaceId, path)
  return download(holdall, file?.id ?? '')
}

test('uploads in chunks; with confirm: auto the last byte creates the file', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = randomBytes(5 * MIB + 17)
  const metadata = {
    workspaceId,
    path: 'raw',
    filename: 'Größe.bin',
    filetype: 'application/octet-stream',
    sha256: sha256(bytes),
    confirm: 'auto',
  }
  const { upload, offsets, done } = start(holdall, bytes, { chunkSize: MIB, metadata })
  upload.start()
  await done
  expect(offsets).toEqual([0, 1, 2, 3, 4, 5].map((n) => n * MIB))
  expect(sha256(await bytesAt(holdall, workspaceId, 'raw/Größe.bin'))).toBe(sha256(bytes))
})

test('resumes an aborted upload from storage and sends only the rest', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = randomBytes(8 * MIB)
  const urlStorage = rememberedUploads()
  const options = {
    chunkSize: MIB,
    urlStorage,
    metadata: { workspaceId, filename: 'a.bin', confirm: 'auto' },
  }
  const first = start(holdall, bytes, options)
  first.upload.start()
  while (first.offsets.length < 4) await sleep(1)
  await first.upload.abort()
  const second = start(holdall, bytes, options)
  const [previous] = await second.upload.findPreviousUploads()
  if (!previous) throw new Error('the upload was forgotten')
  second.upload.resumeFromPreviousUpload(previous)
  second.upload.start()
  await second.done
  expect(second.offsets[0]).toBeGreaterThanOrEqual(3 * MIB)
  expect(sha256(await bytesAt(holdall, workspaceId, 'a.bin'))).toBe(sha256(bytes))
})

test('accepts the URL of createUpload', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = randomBytes(3 * MIB)
  const made = await createUpload(holdall, { workspaceId, name: 'a.bin', size: bytes.length })
  const { upload, done } = start(holdall, bytes, { uploadUrl: made.url, endpoint: null })
  upload.start()
  await done
  const file = await confirmUpload(holdall, { uploadId: made.id })
  expect(file.sha256).toBe(sha256(bytes))
})

test('uploads a stream of unknown length', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = randomBytes(3 * MIB + 5)
  const stream = new PassThrough()
  stream.end(bytes)
  const { upload, done } = start(holdall, stream as unknown as Input, {
    uploadLengthDeferred: true,
    chunkSize: MIB,
    metadata: { workspaceId, filename: 'stream.bin', confirm: 'auto' },
  })
  upload.start()
  await done
  expect(sha256(await bytesAt(holdall, workspaceId, 'stream.bin'))).toBe(sha256(bytes))
})

test('supports creation with upload, and PATCH as POST with an override', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = randomBytes(3 * MIB)
  const { upload, offsets, done } = start(holdall, bytes, {
    uploadDataDuringCreation: true,
    overridePatchMethod: true,
    chunkSize: MIB,
    metadata: { workspaceId, filename: 'a.bin', confirm: 'auto' },
  })
  upload.start()
  await done
  expect(offsets).toEqual([MIB, 2 * MIB])
  expect(sha256(await bytesAt(holdall, workspaceId, 'a.bin'))).toBe(sha256(bytes))
})

test('continues through a restart of the server', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = randomBytes(64 * MIB)
  const { upload, offsets, done } = start(holdall, bytes, {
    retryDelays: [50, 100, 200, 400, 800, 800, 800],
    metadata: { workspaceId, filename: 'a.bin', confirm: 'auto' },
  })
  upload.start()
  while (offsets.length === 0) await sleep(1)
  await holdall.restart()
  await done
  expect(sha256(await bytesAt(holdall, workspaceId, 'a.bin'))).toBe(sha256(bytes))
})

test('begins an expired upload anew', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using tus = await openTus({ now: () => now })
  const { holdall, workspaceId } = tus
  const bytes = randomBytes(MIB)
  const metadata = { workspaceId, filename: 'a.bin', confirm: 'auto' }
  const made = await createUpload(holdall, { workspaceId, name: 'old.bin', size: bytes.length })
  now += 25 * 3_600_000
  const { upload, done } = start(holdall, bytes, { uploadUrl: made.url, metadata })
  upload.start()
  await done
  expect(upload.url).not.toBe(made.url)
  expect(sha256(await bytesAt(holdall, workspaceId, 'a.bin'))).toBe(sha256(bytes))
})

test('abort(true) terminates the upload', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const { upload } = start(holdall, randomBytes(4 * MIB), {
    chunkSize: MIB,
    metadata: { workspaceId },
  })
  upload.start()
  while (!upload.url) await sleep(1)
  const { url } = upload
  await upload.abort(true)
  expect((await tus.head(url)).status).toBe(410)
})

test('reports a refused confirm: auto to the client', async () => {
  await using tus = await openTus()
  const { holdall, workspaceId } = tus
  const bytes = randomBytes(1000)
  const metadata = { workspaceId, filename: 'a.bin', sha256: '0'.repeat(64), confirm: 'auto' }
  const { upload, done } = start(holdall, bytes, { metadata })
  upload.start()
  await expect(done).rejects.toThrow(/response code: 460.*CHECKSUM_MISMATCH/)
})
