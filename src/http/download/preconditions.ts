import type { IncomingHttpHeaders } from 'node:http'

/** What a copy is recognised by: a strong ETag, quotes included, and the time in milliseconds since 1970. */
export type Validators = { etag: string; modifiedAt: number }

/** What a GET or HEAD with these conditions gets, in the order of RFC 9110, section 13.2.2. */
export function evaluatePreconditions(
  headers: IncomingHttpHeaders,
  copy: Validators,
): 'send' | 'not modified' | 'failed' {
  if (!mayGoOn(headers, copy)) return 'failed'
  return hasItAlready(headers, copy) ? 'not modified' : 'send'
}

/** Steps 1 and 2: If-Match, and only without it If-Unmodified-Since. */
function mayGoOn(headers: IncomingHttpHeaders, copy: Validators): boolean {
  const tags = headers['if-match']
  if (tags !== undefined) return names(tags, copy.etag)
  const since = httpDate(headers['if-unmodified-since'])
  return since === null || inSeconds(copy.modifiedAt) <= since
}

/** Steps 3 and 4: If-None-Match, compared weakly, and only without it If-Modified-Since. */
function hasItAlready(headers: IncomingHttpHeaders, copy: Validators): boolean {
  const tags = headers['if-none-match']
  if (tags !== undefined) return names(tags, copy.etag) || names(tags, `W/${copy.etag}`)
  const since = httpDate(headers['if-modified-since'])
  return since !== null && inSeconds(copy.modifiedAt) <= since
}

/** Step 5: whether Range counts. A part is only sent to who holds the rest of the same copy; a weak tag proves nothing. */
export function ifRangeMatches(headers: IncomingHttpHeaders, copy: Validators): boolean {
  const condition = single(headers['if-range'])
  if (condition === undefined) return true
  if (condition.includes('"')) return condition.trim() === copy.etag
  return httpDate(condition) === inSeconds(copy.modifiedAt)
}

function names(list: string, etag: string): boolean {
  if (list.trim() === '*') return true
  return list.match(/(W\/)?"[^"]*"/g)?.includes(etag) ?? false
}

/** All three forms of RFC 9110, section 5.6.7, in seconds; null where it is none: such a condition is ignored. */
function httpDate(value: string | undefined): number | null {
  if (value === undefined || !/^[A-Z][a-z]+,? /.test(value)) return null
  // The form of asctime names no zone; it means GMT.
  const at = Date.parse(/ GMT$/.test(value) ? value : `${value} GMT`)
  return Number.isNaN(at) ? null : inSeconds(at)
}

function inSeconds(at: number): number {
  return Math.floor(at / 1000)
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}
