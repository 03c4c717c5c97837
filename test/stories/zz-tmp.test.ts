import { randomBytes } from 'node:crypto'
import { test } from 'vitest'
import { attempt } from '../support/client.ts'
import { createSigned, openOnS3, putToBucket, uploadState } from '../support/s3-house.ts'
test('x', async () => {
  await using here = await openOnS3()
  const { house, workspaceId } = here
  const bytes = randomBytes(9 * 2**20)
  const t0 = Date.now()
  const say = (...x: unknown[]) => console.log(Date.now() - t0, ...x)
  const upload = await createSigned(house, { workspaceId, size: bytes.length })
  say('created', upload.parts)
  for (const { url, offset, size } of upload.parts ?? []) {
    const r = await fetch(url, { method: 'PUT', body: bytes.subarray(offset, offset + size), signal: AbortSignal.timeout(5000) }).catch((e) => e)
    say(r.status ?? r)
  }
  say(await house.app.blobs.direct?.arrived(upload.id, bytes.length))
  say(await attempt(house, 'confirmUpload', { uploadId: upload.id }, 'file { id }'))
  say(await uploadState(house, upload.id))
}, 60000)
