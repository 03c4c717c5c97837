/** First and last byte, both included. */
export type ByteRange = { start: number; end: number }

/** More parts than this are answered whole: RFC 9110, section 14.2, lets a server ignore what looks like an attack. */
const maxRanges = 16

/**
 * What a Range header asks of `size` bytes, by RFC 9110, section 14: the ranges, in the order asked, those that overlap or
 * touch made one; 'whole' where there is no header or it is to be ignored (another unit, bad syntax, too many parts, nothing
 * to cut); 'unsatisfiable' where every range lies behind the end.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange[] | 'whole' | 'unsatisfiable' {
  const specs = header === undefined ? null : rangeSpecs(header)
  if (specs === null || size === 0) return 'whole'
  const ranges = specs.map((spec) => clip(spec, size)).filter((range) => range !== null)
  if (ranges.length === 0) return 'unsatisfiable'
  const apart = coalesced(ranges)
  return apart.length > maxRanges ? 'whole' : apart
}

type RangeSpec = { first: number; last: number } | { suffix: number }

/** Null where the header is not a list of byte ranges; one bad range spoils the list. */
function rangeSpecs(header: string): RangeSpec[] | null {
  const [, list] = /^bytes=(.*)$/i.exec(header.trim()) ?? []
  // RFC 9110, section 5.6.1: empty elements of a list are to be ignored.
  const items =
    list
      ?.split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '') ?? []
  const specs = items.map(rangeSpec)
  return specs.length > 0 && specs.every((spec) => spec !== null) ? specs : null
}

function rangeSpec(item: string): RangeSpec | null {
  const [, first = '', last = ''] = /^(\d*)-(\d*)$/.exec(item) ?? []
  if (first === '') return last === '' ? null : { suffix: Number(last) }
  const spec = { first: Number(first), last: last === '' ? Number.POSITIVE_INFINITY : Number(last) }
  return spec.last < spec.first ? null : spec
}

function clip(spec: RangeSpec, size: number): ByteRange | null {
  const start = 'suffix' in spec ? Math.max(0, size - spec.suffix) : spec.first
  const end = 'suffix' in spec ? size - 1 : Math.min(spec.last, size - 1)
  return start <= end ? { start, end } : null
}

/** Each part stands where the first of its ranges stood. */
function coalesced(ranges: ByteRange[]): ByteRange[] {
  const sorted = ranges
    .map((range, place) => ({ ...range, place }))
    .sort((a, b) => a.start - b.start)
  const parts: typeof sorted = []
  for (const range of sorted) {
    const before = parts.at(-1)
    if (!before || range.start > before.end + 1) parts.push(range)
    else {
      before.end = Math.max(before.end, range.end)
      before.place = Math.min(before.place, range.place)
    }
  }
  return parts.sort((a, b) => a.place - b.place).map(({ start, end }) => ({ start, end }))
}

/** How many bytes a range has. */
export function lengthOf({ start, end }: ByteRange): number {
  return end - start + 1
}

/** The value of Content-Range for a part of `size` bytes. */
export function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end}/${size}`
}

export type Multipart = {
  contentType: string
  contentLength: number
  heads: string[]
  tail: string
}

/** The frame of a multipart/byteranges body: a head before each part, a tail after the last. */
export function multipart(
  ranges: ByteRange[],
  of: { size: number; contentType: string; boundary: string },
): Multipart {
  const heads = ranges.map((range, i) => partHead(range, i === 0, of))
  const tail = `\r\n--${of.boundary}--\r\n`
  const framing = Buffer.byteLength([...heads, tail].join(''))
  return {
    contentType: `multipart/byteranges; boundary=${of.boundary}`,
    contentLength: ranges.reduce((sum, range) => sum + lengthOf(range), framing),
    heads,
    tail,
  }
}

function partHead(
  range: ByteRange,
  isFirst: boolean,
  { size, contentType, boundary }: { size: number; contentType: string; boundary: string },
) {
  const delimiter = `${isFirst ? '' : '\r\n'}--${boundary}`
  return `${delimiter}\r\nContent-Type: ${contentType}\r\nContent-Range: ${contentRange(range, size)}\r\n\r\n`
}
