/** A byte range with inclusive bounds. */
export type ByteRange = { start: number; end: number }

/** A request for more parts gets the whole file, as RFC 9110, section 14.2, allows. */
const MAX_RANGE_COUNT = 16

/**
 * Parses a Range header for a file of `size` bytes (RFC 9110, section 14). Returns the ranges in the
 * requested order, with overlapping and adjacent ranges merged; 'whole' if there is no header or it must be
 * ignored (another unit, bad syntax, too many parts, an empty file); 'unsatisfiable' if every range begins
 * at or after the end.
 */
export function parseRange(
  header: string | undefined,
  size: number,
): ByteRange[] | 'whole' | 'unsatisfiable' {
  const specs = header === undefined ? null : parseRangeSpecs(header)
  if (specs === null || size === 0) return 'whole'
  const ranges = specs.map((spec) => clip(spec, size)).filter((range) => range !== null)
  if (ranges.length === 0) return 'unsatisfiable'
  const merged = mergeRanges(ranges)
  return merged.length > MAX_RANGE_COUNT ? 'whole' : merged
}

type RangeSpec = { first: number; last: number } | { suffix: number }

/** Returns null if the header is not a list of byte ranges, or if one of them is invalid. */
function parseRangeSpecs(header: string): RangeSpec[] | null {
  const [, list] = /^bytes=(.*)$/i.exec(header.trim()) ?? []
  // RFC 9110, section 5.6.1: empty elements of a list are to be ignored.
  const items =
    list
      ?.split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '') ?? []
  const specs = items.map(parseRangeSpec)
  return specs.length > 0 && specs.every((spec) => spec !== null) ? specs : null
}

function parseRangeSpec(item: string): RangeSpec | null {
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

/** Merges overlapping and adjacent ranges. A merged range takes the position of its first member. */
function mergeRanges(ranges: ByteRange[]): ByteRange[] {
  const sorted = ranges
    .map((range, position) => ({ ...range, position }))
    .sort((a, b) => a.start - b.start)
  const parts: typeof sorted = []
  for (const range of sorted) {
    const previous = parts.at(-1)
    if (!previous || range.start > previous.end + 1) parts.push(range)
    else {
      previous.end = Math.max(previous.end, range.end)
      previous.position = Math.min(previous.position, range.position)
    }
  }
  return parts.sort((a, b) => a.position - b.position).map(({ start, end }) => ({ start, end }))
}

/** Returns the number of bytes of a range. */
export function lengthOf({ start, end }: ByteRange): number {
  return end - start + 1
}

/** Returns the Content-Range value of a range of a file of `size` bytes. */
export function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end}/${size}`
}

export type Multipart = {
  contentType: string
  contentLength: number
  parts: { head: string; range: ByteRange }[]
  tail: string
}

/** Builds the framing of a multipart/byteranges body: a head before each part and a tail after the last. */
export function createMultipart(
  ranges: ByteRange[],
  of: { size: number; contentType: string; boundary: string },
): Multipart {
  const parts = ranges.map((range, i) => ({ head: partHead(range, i === 0, of), range }))
  const tail = `\r\n--${of.boundary}--\r\n`
  const framing = Buffer.byteLength([...parts.map(({ head }) => head), tail].join(''))
  return {
    contentType: `multipart/byteranges; boundary=${of.boundary}`,
    contentLength: ranges.reduce((sum, range) => sum + lengthOf(range), framing),
    parts,
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
