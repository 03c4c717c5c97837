import type { IncomingHttpHeaders } from 'node:http'

/**
 * Validators of a representation: a strong ETag, quotes included, and the modification time in ms since
 * 1970.
 */
export type Validators = { etag: string; modifiedAt: number }

/** Evaluates the conditions of a GET or HEAD request in the order of RFC 9110, section 13.2.2. */
export function evaluatePreconditions(
  headers: IncomingHttpHeaders,
  copy: Validators,
): 'send' | 'not modified' | 'failed' {
  if (!isMatch(headers, copy)) return 'failed'
  return isNotModified(headers, copy) ? 'not modified' : 'send'
}

/** Steps 1 and 2: If-Match, or If-Unmodified-Since if there is no If-Match. */
function isMatch(headers: IncomingHttpHeaders, copy: Validators): boolean {
  const tags = headers['if-match']
  if (tags !== undefined) return includesTag(tags, copy.etag)
  const since = httpDate(headers['if-unmodified-since'])
  return since === null || inSeconds(copy.modifiedAt) <= since
}

/** Steps 3 and 4: If-None-Match, compared weakly, or If-Modified-Since if there is no If-None-Match. */
function isNotModified(headers: IncomingHttpHeaders, copy: Validators): boolean {
  const tags = headers['if-none-match']
  if (tags !== undefined) return includesTag(tags, copy.etag) || includesTag(tags, `W/${copy.etag}`)
  const since = httpDate(headers['if-modified-since'])
  return since !== null && inSeconds(copy.modifiedAt) <= since
}

/** Step 5: reports whether Range applies. If-Range uses strong comparison, so a weak tag never matches. */
export function ifRangeMatches(headers: IncomingHttpHeaders, copy: Validators): boolean {
  const condition = single(headers['if-range'])
  if (condition === undefined) return true
  if (condition.includes('"')) return condition.trim() === copy.etag
  return httpDate(condition) === inSeconds(copy.modifiedAt)
}

function includesTag(list: string, etag: string): boolean {
  if (list.trim() === '*') return true
  return list.match(/(W\/)?"[^"]*"/g)?.includes(etag) ?? false
}

/**
 * Parses the three date formats of RFC 9110, section 5.6.7, in seconds. Returns null for others, which are
 * ignored.
 */
function httpDate(value: string | undefined): number | null {
  if (value === undefined || !/^[A-Z][a-z]+,? /.test(value)) return null
  // The asctime format has no zone; it is GMT.
  const ms = Date.parse(/ GMT$/.test(value) ? value : `${value} GMT`)
  return Number.isNaN(ms) ? null : inSeconds(ms)
}

function inSeconds(ms: number): number {
  return Math.floor(ms / 1000)
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}
