import type { FuzzServer } from './fuzz-server.ts'
import type { Subject } from './runs.ts'
import { type RawRequest, rawRequests } from './targets/raw-requests.ts'
import { assertInvariant, checkResponse } from './verify-answer.ts'
import { sendRaw, sendRequest } from './wire.ts'

/**
 * Raw requests with two lengths, odd chunks or broken lines: only sent bytes are stored, and one request
 * stays one.
 */
export const requests: Subject<RawRequest> = {
  name: 'raw requests',
  rows: 'S27',
  cases: () => rawRequests,
  async check(server, request) {
    const path = request.target === 'UPLOAD' ? await newUpload(server) : null
    const { head, body } = formatRequest(server, request, path)
    const answers = statuses(await sendRaw(server, splitAt(head + body, request.cuts)))
    for (const status of answers)
      assertInvariant(status < 500 || [501, 505].includes(status), `status ${status}`)
    if (isAmbiguous(request) && request.insertion === null)
      assertInvariant(
        answers.length <= 1,
        `one request with two lengths has ${answers.length} responses`,
      )
    if (path) await checkStoredBytes(server, path, body)
    return answers.some((status) => status < 300)
  },
}

async function newUpload(server: FuzzServer): Promise<string> {
  const metadata = `workspaceId ${Buffer.from(server.workspaceId).toString('base64')},filename eA==,onConflict UkVOQU1F`
  const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Length': '20', 'Upload-Metadata': metadata }
  const { headers: responseHeaders } = checkResponse(
    await sendRequest(server, { method: 'POST', path: '/uploads', headers }),
  )
  return new URL(responseHeaders.location ?? '', server.url).pathname
}

/** RFC 9112, section 6.3: "such a message might indicate an attempt to perform request smuggling". */
const isAmbiguous = ({ length, transfer, version }: RawRequest) =>
  length !== null && transfer !== null && version === 'HTTP/1.1'

function formatRequest(
  server: FuzzServer,
  { method, target, version, length, transfer, lines, body, insertion }: RawRequest,
  path: string | null,
) {
  const payload = transfer === null ? body.bytes : body.chunks.join('') + body.ending
  const correctLength = String(payload.length)
  const own = [
    `Authorization: Bearer ${server.holdall.token}`,
    'Tus-Resumable: 1.0.0',
    'Upload-Offset: 0',
    'Content-Type: application/offset+octet-stream',
  ]
  const lengths = [
    length === null ? [] : `Content-Length: ${length.replaceAll('RIGHT', correctLength)}`,
    transfer === null ? [] : `Transfer-Encoding: ${transfer}`,
  ].flat()
  const all = [
    `${method} ${path ?? target} ${version}`,
    `Host: ${server.url.host}`,
    ...own,
    ...lengths,
    ...lines,
  ]
  const head = `${all.join('\r\n')}\r\n\r\n`
  const inserted = insertion === null ? '' : Buffer.from(insertion).toString('latin1')
  return {
    head:
      insertion === null ? head : head.slice(0, -2 - inserted.length) + inserted + head.slice(-2),
    body: payload + body.trailing,
  }
}

function splitAt(whole: string, cuts: number[]): string[] {
  const positions = [
    0,
    ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b),
    whole.length,
  ]
  return positions
    .slice(1)
    .map((end, i) => whole.slice(positions[i], end))
    .filter((piece) => piece !== '')
}

const statuses = (received: string) =>
  [...received.matchAll(/(?:^|\n|\})HTTP\/1\.1 (\d{3}) /g)]
    .map(([, status]) => Number(status))
    .filter((status) => status !== 100)

/** Checks that the upload has at most as many bytes as the body. */
async function checkStoredBytes(server: FuzzServer, path: string, body: string) {
  const { status, headers } = checkResponse(
    await sendRequest(server, { method: 'HEAD', path, headers: { 'Tus-Resumable': '1.0.0' } }),
  )
  if (status !== 200) return
  const offset = Number(headers['upload-offset'])
  assertInvariant(
    offset <= Math.min(20, body.length),
    `the upload has ${offset} bytes, but the body had ${body.length}`,
  )
}
