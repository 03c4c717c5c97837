import fc from 'fast-check'
import { BYTES, type Ground } from './fuzz-server.ts'
import type { Subject } from './runs.ts'
import { headerSafe, near, numeral, text } from './texts.ts'
import { insist, sound } from './verify-answer.ts'
import { type Answer, ask, type Headers } from './wire.ts'

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
  'image/*;q=0.5, */*;q=0.1',
  ', ,',
  'a/b;q=9',
)

/** A few of the headers that decide what comes back. */
const headers = ({ etag }: Ground): fc.Arbitrary<Record<string, string>> => {
  const tags = fc.constantFrom(
    etag,
    `W/${etag}`,
    '*',
    '"other"',
    `"x", ${etag}`,
    '""',
    etag.slice(1),
  )
  const values = fc.oneof(tags, near(tags), dates, near(dates), text)
  const names = [
    'If-Match',
    'If-None-Match',
    'If-Modified-Since',
    'If-Unmodified-Since',
    'If-Range',
  ]
  const all = {
    Range: fc.oneof({ weight: 4, arbitrary: range }, { weight: 1, arbitrary: near(range) }),
    ...Object.fromEntries(names.map((name) => [name, values])),
    Accept: fc.oneof(accepts, near(accepts)),
    'Accept-Encoding': text,
    'Accept-Language': text,
    Host: fc.oneof(
      text,
      near(fc.constantFrom('localhost:4000', '[::1]:80', '127.0.0.1', 'a.b:99999', '1.2.3.4.5')),
    ),
    Origin: near(fc.constant('http://localhost')),
    'X-Forwarded-Host': text,
    'X-Forwarded-Proto': text,
    'X-Forwarded-For': text,
    'X-Request-Id': text,
    Authorization: near(fc.constant('Bearer hld_x')),
  }
  const safe = Object.fromEntries(
    Object.entries(all).map(([name, value]) => [name, value.map(headerSafe)]),
  )
  return fc
    .record(safe, { requiredKeys: [] })
    .chain((given) =>
      fc
        .subarray(Object.keys(given), { maxLength: 3 })
        .map((kept) => Object.fromEntries(kept.map((name) => [name, given[name] ?? '']))),
    )
}

type Download = { method: string; door: string; headers: Record<string, string> }
const doors = [
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

/** Headers of requests to read: what comes back of a file are the bytes that it says. */
export const downloads: Subject<Download> = {
  name: 'headers',
  rows: 'S7, S29',
  cases: (ground) =>
    fc.record({
      method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS'),
      door: fc.constantFrom(...doors),
      headers: headers(ground),
    }),
  async check(ground, { method, door, headers }) {
    const paths: Record<string, string> = {
      ...{
        file: `/download/${ground.fileId}`,
        link: ground.links.download,
        archive: ground.links.archive,
      },
      ...{
        share: ground.links.share,
        graphql: '/graphql?query=%7B__typename%7D',
        readyz: '/readyz',
        root: '/',
      },
      upload: new URL(ground.uploadUrl).pathname,
    }
    const answer = sound(
      await ask(ground, { method, path: paths[door] ?? '/', headers: headers as Headers }),
    )
    if (method === 'GET' && (door === 'file' || door === 'link')) rightBytes(answer)
    return answer.status < 400
  },
}

function rightBytes({ status, headers, body }: Answer) {
  if (status === 200) return insist(body.equals(BYTES), 'the bytes are not those of the file')
  if (status === 304) return insist(body.length === 0, 'a 304 with a body')
  if (status !== 206) return
  const [, boundary] =
    /^multipart\/byteranges; boundary=(\w+)$/.exec(headers['content-type'] ?? '') ?? []
  if (!boundary) return rightPart(headers['content-range'] ?? '', body)
  const parts = body.toString('latin1').split(`--${boundary}`).slice(1)
  insist(parts.at(-1) === '--\r\n', 'the last part is not closed')
  for (const part of parts.slice(0, -1)) {
    const [head = '', bytes = ''] = [
      part.slice(0, part.indexOf('\r\n\r\n')),
      part.slice(part.indexOf('\r\n\r\n') + 4, -2),
    ]
    rightPart(/Content-Range: (.*)/.exec(head)?.[1] ?? '', Buffer.from(bytes, 'latin1'))
  }
}

function rightPart(range: string, body: Buffer) {
  const [, start, end, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(range) ?? []
  insist(Number(size) === BYTES.length, `Content-Range: ${range}`)
  insist(body.equals(BYTES.subarray(Number(start), Number(end) + 1)), `other bytes than ${range}`)
}
