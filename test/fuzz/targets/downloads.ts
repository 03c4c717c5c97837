import fc from 'fast-check'
import { BYTES, type FuzzServer } from '../fuzz-server.ts'
import { headerSafe, mutated, numeral, text } from '../inputs/texts.ts'
import type { Subject } from '../runs.ts'
import { assertInvariant, checkResponse, parseJson } from '../verify-answer.ts'
import { type FuzzResponse, type Headers, sendRequest } from '../wire.ts'

const spec = fc
  .tuple(
    fc.oneof(fc.nat(3100).map(String), numeral, fc.constant('')),
    fc.oneof(fc.nat(3100).map(String), numeral, fc.constant('')),
  )
  .map(([first, last]) => `${first}-${last}`)
const range = fc.array(spec, { minLength: 1, maxLength: 20 }).map((all) => `bytes=${all.join(',')}`)
const dates = fc.constantFrom(
  'Sun, 06 Nov 1994 08:49:37 GMT',
  'Sunday, 06-Nov-94 08:49:37 GMT',
  'Sun Nov  6 08:49:37 1994',
  'Fri, 31 Dec 9999 23:59:59 GMT',
  '0',
  '-1',
)
const accepts = fc.constantFrom(
  '*/*',
  'text/html',
  'application/json;q=0',
  'application/json',
  'image/*;q=0.5, */*;q=0.1',
  ', ,',
  'a/b;q=9',
)

/** Up to three headers that influence the response. */
const headers = ({ etag }: FuzzServer): fc.Arbitrary<Record<string, string>> => {
  const tags = fc.constantFrom(
    etag,
    `W/${etag}`,
    '*',
    '"other"',
    `"x", ${etag}`,
    '""',
    etag.slice(1),
  )
  const values = fc.oneof(tags, mutated(tags), dates, mutated(dates), text)
  const names = [
    'If-Match',
    'If-None-Match',
    'If-Modified-Since',
    'If-Unmodified-Since',
    'If-Range',
  ]
  const all = {
    Range: fc.oneof({ weight: 4, arbitrary: range }, { weight: 1, arbitrary: mutated(range) }),
    ...Object.fromEntries(names.map((name) => [name, values])),
    Accept: fc.oneof(accepts, mutated(accepts)),
    'Accept-Encoding': text,
    'Accept-Language': text,
    Host: fc.oneof(
      text,
      mutated(fc.constantFrom('localhost:4000', '[::1]:80', '127.0.0.1', 'a.b:99999', '1.2.3.4.5')),
    ),
    Origin: mutated(fc.constant('http://localhost')),
    'X-Forwarded-Host': text,
    'X-Forwarded-Proto': text,
    'X-Forwarded-For': text,
    'X-Request-Id': text,
    Authorization: mutated(fc.constant('Bearer hld_x')),
  }
  const safe = Object.fromEntries(
    Object.entries(all).map(([name, value]) => [name, value.map(headerSafe)]),
  )
  return fc
    .record(safe, { requiredKeys: [] })
    .chain((available) =>
      fc
        .subarray(Object.keys(available), { maxLength: 3 })
        .map((chosen) => Object.fromEntries(chosen.map((name) => [name, available[name] ?? '']))),
    )
}

type Download = { method: string; endpoint: string; headers: Record<string, string> }
const endpoints = [
  'file',
  'file',
  'file',
  'link',
  'link',
  'archive',
  'share',
  'graphql',
  'readyz',
  'root',
  'upload',
] as const

/** Headers of read requests: the body of a file response has the bytes that its headers announce. */
export const downloads: Subject<Download> = {
  name: 'headers',
  rows: 'S7, S29',
  cases: (server) =>
    fc.record({
      method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS'),
      endpoint: fc.constantFrom(...endpoints),
      headers: headers(server),
    }),
  async check(server, { method, endpoint, headers }) {
    const paths: Record<string, string> = {
      ...{
        file: `/download/${server.fileId}`,
        link: server.links.download,
        archive: server.links.archive,
      },
      ...{
        share: server.links.share,
        graphql: '/graphql?query=%7B__typename%7D',
        readyz: '/readyz',
        root: '/',
      },
      upload: new URL(server.uploadUrl).pathname,
    }
    const answer = checkResponse(
      await sendRequest(server, {
        method,
        path: paths[endpoint] ?? '/',
        headers: headers as Headers,
      }),
    )
    if (method === 'GET' && (endpoint === 'file' || endpoint === 'link')) checkBody(answer)
    return answer.status < 400
  },
}

function checkBody({ status, headers, body }: FuzzResponse) {
  // Accept: application/json asks for the URL of the bytes.
  if (status === 200 && headers['content-type']?.startsWith('application/json')) {
    const { url } = parseJson(body)
    return assertInvariant(URL.canParse(url), 'the JSON has no URL')
  }
  if (status === 200) return assertInvariant(body.equals(BYTES), 'the body is not the file')
  if (status === 304) return assertInvariant(body.length === 0, 'a 304 with a body')
  if (status !== 206) return
  const [, boundary] =
    /^multipart\/byteranges; boundary=(\w+)$/.exec(headers['content-type'] ?? '') ?? []
  if (!boundary) return checkPart(headers['content-range'] ?? '', body)
  const parts = body.toString('latin1').split(`--${boundary}`).slice(1)
  assertInvariant(parts.at(-1) === '--\r\n', 'the closing delimiter is missing')
  for (const part of parts.slice(0, -1)) {
    const [head = '', bytes = ''] = [
      part.slice(0, part.indexOf('\r\n\r\n')),
      part.slice(part.indexOf('\r\n\r\n') + 4, -2),
    ]
    checkPart(/Content-Range: (.*)/.exec(head)?.[1] ?? '', Buffer.from(bytes, 'latin1'))
  }
}

function checkPart(range: string, body: Buffer) {
  const [, start, end, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(range) ?? []
  assertInvariant(Number(size) === BYTES.length, `wrong size in Content-Range: ${range}`)
  assertInvariant(
    body.equals(BYTES.subarray(Number(start), Number(end) + 1)),
    `the body does not match Content-Range: ${range}`,
  )
}
