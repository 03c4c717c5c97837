import fc from 'fast-check'
import { mostly, mutated, numeral, oneOf, text } from '../inputs/texts.ts'

const latin = (arbitrary: fc.Arbitrary<string>) =>
  arbitrary.map((some) => Buffer.from(some).toString('latin1'))
const methods = mostly(
  oneOf('POST GET HEAD PUT DELETE OPTIONS TRACE CONNECT PRI patch'),
  'PATCH',
  2,
)
const targets = mostly(
  oneOf(
    '/graphql /files /uploads /download/x / * // /% /s/x http://[/ /uploads/put/x /download/archive/x/y',
  ),
  'UPLOAD',
  2,
)
const lengths: fc.Arbitrary<string> = fc.oneof(
  fc.constant('RIGHT'),
  numeral,
  fc.constantFrom('RIGHT, RIGHT', '+4', '4\r\nContent-Length: 5', '-1', '0x4'),
)
const transfer = fc.constantFrom(
  'chunked',
  'Chunked',
  ' chunked',
  'chunked, identity',
  'identity',
  'xchunked',
  'gzip, chunked',
  '\tchunked',
  'chunked\r\nTransfer-Encoding: identity',
)
const line = fc.oneof(
  fc.constantFrom(
    'Upload-Offset: 4',
    'Upload-Offset: 4, 4',
    'Upload-Length: 20',
    'Expect: 100-continue',
    'Expect: x',
    'Upgrade: websocket',
    'Connection: upgrade',
    'Connection: close',
    'Trailer: Upload-Offset',
  ),
  fc.constantFrom(
    'Host: a',
    'Host: b/c?d',
    'X-HTTP-Method-Override: DELETE',
    'Content-Encoding: gzip',
    'Tus-Resumable: 0.2.2',
    'Accept: text/event-stream',
    ' folded',
    'NoColon',
    'A : b',
    ': x',
  ),
  mutated(
    fc.constantFrom('Content-Type: application/json', 'Authorization: Bearer x', 'Range: bytes=0-'),
  ),
)
const chunk = fc
  .tuple(
    fc.uint8Array({ maxLength: 12 }),
    fc.constantFrom('', '', '', '', '\n', ';x=y', 'g', ' ', '0', '00000000000000000'),
  )
  .map(
    ([bytes, suffix]) =>
      `${bytes.length.toString(16)}${suffix}\r\n${Buffer.from(bytes).toString('latin1')}\r\n`,
  )
const bodies = fc.record({
  bytes: fc.oneof(
    fc.uint8Array({ maxLength: 24 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    fc.constant('{"query":"{__typename}"}'),
  ),
  chunks: fc.array(chunk, { maxLength: 3 }),
  ending: fc.constantFrom(
    '0\r\n\r\n',
    '0\r\n\r\n',
    '0\r\n',
    '',
    '0\r\nUpload-Offset: 0\r\n\r\n',
    '0\n\n',
  ),
  trailing: fc.constantFrom('', '', 'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n', 'x'.repeat(10)),
})

/**
 * Parts of a raw request, mostly valid. UPLOAD is the path of a new upload of 20 bytes, RIGHT the length of
 * the body.
 */
export const rawRequests = fc.record({
  method: methods,
  target: fc.oneof(
    { weight: 6, arbitrary: targets },
    { weight: 1, arbitrary: latin(mutated(targets)) },
    { weight: 1, arbitrary: latin(text) },
  ),
  version: mostly(fc.constantFrom('HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'HTTP/1.1 ', ''), 'HTTP/1.1'),
  length: mostly(fc.option(lengths, { freq: 2 }), 'RIGHT' as string | null),
  transfer: fc.oneof(
    { weight: 2, arbitrary: fc.constant<string | null>(null) },
    { weight: 1, arbitrary: transfer },
  ),
  lines: fc.oneof(fc.constant<string[]>([]), fc.array(latin(line), { maxLength: 2 })),
  body: bodies,
  cuts: fc.array(fc.nat(600), { maxLength: 3 }),
  insertion: mostly<string | null>(text, null),
})

export type RawRequest = typeof rawRequests extends fc.Arbitrary<infer T> ? T : never
