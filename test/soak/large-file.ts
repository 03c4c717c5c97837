import { createHash, randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { confirmUpload, createUpload, downloadUrl } from '../support/client.ts'
import type { TestServer } from '../support/servers/test-server.ts'

const MIB = 1024 ** 2

/**
 * Uploads `size` bytes (a multiple of 1 MiB) with one PATCH, confirms and downloads them; throws if other
 * bytes come back.
 */
export async function downUp(
  holdall: TestServer,
  workspaceId: string,
  size: number,
): Promise<void> {
  const upload = await createUpload(holdall, { workspaceId, name: 'large', size })
  const sent = createHash('sha256')
  await patch(holdall, upload.url, Readable.from(mebibytes(size, sent)), size)
  const { id, sha256 } = await confirmUpload(holdall, { uploadId: upload.id })
  if (sha256 !== sent.digest('hex')) throw new Error('the server hashed other bytes')
  const back = await hashOf(await holdall.http(await downloadUrl(holdall, id)))
  if (back !== sha256) throw new Error('other bytes came back')
}

/** Yields mebibytes that contain their number, so that none can be mistaken for another. */
function* mebibytes(size: number, hash: ReturnType<typeof createHash>) {
  const bytes = randomBytes(MIB)
  for (let n = 0; n < size / MIB; n++) {
    const numbered = Buffer.from(bytes)
    numbered.writeUInt32BE(n)
    hash.update(numbered)
    yield numbered
  }
}

async function patch(holdall: TestServer, url: string, body: Readable, size: number) {
  const headers = {
    Authorization: `Bearer ${holdall.token}`,
    'Tus-Resumable': '1.0.0',
    'Upload-Offset': '0',
    'Content-Type': 'application/offset+octet-stream',
    'Content-Length': size,
  }
  const req = request(new URL(url, holdall.url), { method: 'PATCH', headers })
  const answered = new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
    req.once('response', resolve).once('error', reject)
  })
  await Promise.all([pipeline(body, req), answered])
  const answer = await answered
  const responseText = await text(answer)
  if (answer.statusCode !== 204) throw new Error(`PATCH: ${answer.statusCode} ${responseText}`)
}

async function hashOf(response: Response): Promise<string> {
  if (!response.ok || !response.body) throw new Error(`GET: ${response.status}`)
  const hash = createHash('sha256')
  for await (const chunk of response.body) hash.update(chunk)
  return hash.digest('hex')
}
