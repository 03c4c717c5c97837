import { Transform } from 'node:stream'

/** Longer headers of a part are left to the parser, which rejects them. */
const MAX_HEADER_BYTES = 16 * 1024

/**
 * Returns a stream that passes a form through and removes from the headers of its parts each `filename*` (RFC
 * 8187) that cannot be decoded, so that `filename` counts. The parser would drop the whole part. Holds at
 * most the headers of one part in memory. `contentType` is the header of the form.
 */
export function repairPartHeaders(contentType: string): Transform {
  const [, quoted, plain] = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType) ?? []
  const delimiter = Buffer.from(`\r\n--${quoted ?? plain ?? ''}\r\n`)
  // The first delimiter needs no line break before it.
  let held: Buffer = Buffer.from('\r\n')
  return new Transform({
    transform(chunk: Buffer, _, done) {
      held = passParts(this, Buffer.concat([held, chunk]), delimiter)
      done()
    },
    flush(done) {
      done(null, held)
    },
  })
}

/** Pushes what is certain, and returns the rest: a beginning of a delimiter or of the headers of a part. */
function passParts(out: Transform, bytes: Buffer, delimiter: Buffer): Buffer {
  for (let rest = bytes; ; ) {
    const at = rest.indexOf(delimiter)
    if (at === -1) return pass(out, rest, beginningOf(delimiter, rest))
    const begin = at + delimiter.length
    const end = rest.indexOf('\r\n\r\n', begin)
    if (end === -1 && rest.length - begin < MAX_HEADER_BYTES) return pass(out, rest, at)
    rest = pass(out, rest, begin)
    const length = end - begin
    if (end === -1 || length > MAX_HEADER_BYTES) continue
    out.push(repaired(rest.subarray(0, length)))
    rest = rest.subarray(length)
  }
}

/** Returns where the beginning of a delimiter stands at the end of `bytes`, or else their length. */
function beginningOf(delimiter: Buffer, bytes: Buffer): number {
  const { length } = bytes
  let at = Math.max(0, length - delimiter.length + 1)
  while (at < length && delimiter.compare(bytes, at, length, 0, length - at) !== 0) at++
  return at
}

function pass(out: Transform, bytes: Buffer, end: number): Buffer {
  if (end > 0) out.push(bytes.subarray(0, end))
  return bytes.subarray(end)
}

const DISPOSITION = /^content-disposition:[^\r\n]*/gim
/** A parameter: its name, and its value in quotes or without. */
const PARAMETER = /;[ \t]*([^=;\s"]+)[ \t]*(?:=[ \t]*("(?:\\.|[^"\\])*"|[^;]*))?/g
/** RFC 8187, section 3.2.1. */
const EXTENDED = /^(?:(utf-8)|iso-8859-1)'[^']*'((?:[\w!#$&+.^`|~-]|%[0-9a-f]{2})*)$/i

function repaired(headers: Buffer): Buffer {
  const text = headers.toString('latin1')
  if (!/filename\*/i.test(text)) return headers
  const fix = (parameter: string, name: string, value = '') =>
    name.toLowerCase() === 'filename*' && !isDecodable(value.trim()) ? '' : parameter
  return Buffer.from(
    text.replace(DISPOSITION, (line) => line.replace(PARAMETER, fix)),
    'latin1',
  )
}

function isDecodable(value: string): boolean {
  const [whole, utf8, encoded = ''] = EXTENDED.exec(value) ?? []
  if (whole === undefined || !utf8) return whole !== undefined
  try {
    return decodeURIComponent(encoded) !== ''
  } catch {
    return false
  }
}
