import type { Ground } from './fuzz-server.ts'
import { type RawRequest, rawRequests } from './raw-requests.ts'
import type { Subject } from './runs.ts'
import { insist, sound } from './verify-answer.ts'
import { ask, askRaw } from './wire.ts'

/** Requests on bare sockets: two lengths, odd chunks, broken lines. Nothing is stored that was not sent, and one request is not two. */
export const requests: Subject<RawRequest> = {
  name: 'raw requests',
  rows: 'S27',
  cases: () => rawRequests,
  async check(ground, request) {
    const path = request.target === 'UPLOAD' ? await newUpload(ground) : null
    const { head, body } = written(ground, request, path)
    const answers = statuses(await askRaw(ground, pieces(head + body, request.cuts)))
    for (const status of answers)
      insist(status < 500 || [501, 505].includes(status), `answered ${status}`)
    if (ambiguous(request) && request.bent === null)
      insist(
        answers.length <= 1,
        `one request with two lengths is answered ${answers.length} times`,
      )
    if (path) await storedOnly(ground, path, body)
    return answers.some((status) => status < 300)
  },
}

async function newUpload(ground: Ground): Promise<string> {
  const said = `workspaceId ${Buffer.from(ground.workspaceId).toString('base64')},filename eA==,onConflict UkVOQU1F`
  const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Length': '20', 'Upload-Metadata': said }
  const { headers: told } = sound(await ask(ground, { method: 'POST', path: '/uploads', headers }))
  return new URL(told.location ?? '', ground.url).pathname
}

/** RFC 9112, section 6.3: "such a message might indicate an attempt to perform request smuggling". */
const ambiguous = ({ length, transfer, version }: RawRequest) =>
  length !== null && transfer !== null && version === 'HTTP/1.1'

function written(
  ground: Ground,
  { method, target, version, length, transfer, lines, body, bent }: RawRequest,
  path: string | null,
) {
  const payload = transfer === null ? body.bytes : body.chunks.join('') + body.ending
  const right = String(payload.length)
  const own = [
    `Authorization: Bearer ${ground.holdall.token}`,
    'Tus-Resumable: 1.0.0',
    'Upload-Offset: 0',
    'Content-Type: application/offset+octet-stream',
  ]
  const lengths = [
    length === null ? [] : `Content-Length: ${length.replaceAll('RIGHT', right)}`,
    transfer === null ? [] : `Transfer-Encoding: ${transfer}`,
  ].flat()
  const all = [
    `${method} ${path ?? target} ${version}`,
    `Host: ${ground.url.host}`,
    ...own,
    ...lengths,
    ...lines,
  ]
  const head = `${all.join('\r\n')}\r\n\r\n`
  const odd = bent === null ? '' : Buffer.from(bent).toString('latin1')
  return {
    head: bent === null ? head : head.slice(0, -2 - odd.length) + odd + head.slice(-2),
    body: payload + body.behind,
  }
}

function pieces(whole: string, cuts: number[]): string[] {
  const places = [
    0,
    ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b),
    whole.length,
  ]
  return places
    .slice(1)
    .map((end, i) => whole.slice(places[i], end))
    .filter((piece) => piece !== '')
}

const statuses = (said: string) =>
  [...said.matchAll(/(?:^|\n|\})HTTP\/1\.1 (\d{3}) /g)]
    .map(([, status]) => Number(status))
    .filter((status) => status !== 100)

/** What is there stands somewhere in what was sent, behind the head. */
async function storedOnly(ground: Ground, path: string, body: string) {
  const { status, headers } = sound(
    await ask(ground, { method: 'HEAD', path, headers: { 'Tus-Resumable': '1.0.0' } }),
  )
  if (status !== 200) return
  const offset = Number(headers['upload-offset'])
  insist(offset <= Math.min(20, body.length), `${offset} bytes are there of ${body.length}`)
}
