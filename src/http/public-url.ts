import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Config } from '../config/config.ts'
import { firstHop, lastHop } from './client-address.ts'
import { HttpError } from './errors.ts'

const HOST = /^(?:[\w.-]{1,253}|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i
const MAX_PREFIX_LENGTH = 256
/** Segments without `.` and `..`, which clients would resolve. */
const PREFIX = /^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/

/**
 * Returns PUBLIC_URL, else the URL that the Host header and, behind a trusted proxy, X-Forwarded-* report,
 * both without a trailing slash. Throws HttpError (400) for an invalid host. Other invalid headers are
 * ignored.
 */
export function publicUrlOf(
  { publicUrl, trustProxy }: Pick<Config, 'publicUrl' | 'trustProxy'>,
  { headers }: IncomingMessage,
): string {
  // Yoga builds a URL from the Host header, so it must be valid even with PUBLIC_URL.
  const requested = checkHost(headers.host ?? 'localhost')
  if (publicUrl) return publicUrl
  return trustProxy ? forwardedUrl(headers, requested) : `http://${requested}`
}

function forwardedUrl(headers: IncomingHttpHeaders, requested: string): string {
  const host = checkHost(lastHop(headers['x-forwarded-host']) ?? requested)
  const isHttps = firstHop(headers['x-forwarded-proto'])?.toLowerCase() === 'https'
  const port = hasPort(host) ? '' : portIn(firstHop(headers['x-forwarded-port']))
  return `http${isHttps ? 's' : ''}://${host}${port}${prefixIn(firstHop(headers['x-forwarded-prefix']))}`
}

const hasPort = (host: string) => /:\d+$/.test(host)

/** 80 and 443 are the defaults, or belong to an inner proxy without TLS. */
function portIn(word = ''): string {
  const port = /^\d{1,5}$/.test(word) ? Number(word) : 0
  return port === 0 || port === 80 || port === 443 || port > 65_535 ? '' : `:${port}`
}

function prefixIn(word = ''): string {
  if (word.length > MAX_PREFIX_LENGTH) return ''
  const prefix = word.replace(/\/$/, '')
  return PREFIX.test(prefix) ? prefix : ''
}

/** Returns the host. URL.canParse rejects 1.2.3.4.5 and a:99999, which match HOST. */
function checkHost(host: string): string {
  if (HOST.test(host) && URL.canParse(`http://${host}`)) return host
  throw new HttpError(
    400,
    'BAD_REQUEST',
    `invalid host ${JSON.stringify(host.slice(0, 100))} in the Host or X-Forwarded-Host header`,
  )
}
