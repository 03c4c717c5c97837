import { create } from 'content-disposition'

/** The disposition of a download. */
export type Disposition = 'attachment' | 'inline'

/** Media types that a browser displays without running code. */
const safeInline = new Set([
  'image/png',
  'image/jpeg',
  'image/gif',
  'image/webp',
  'image/avif',
  'video/mp4',
  'video/webm',
  'audio/webm',
  'audio/mp4',
  'audio/mpeg',
  'audio/mp3',
  'audio/wav',
  'audio/x-wav',
  'audio/vnd.wave',
  'audio/ogg',
  'video/ogg',
  'text/plain',
  'application/pdf',
])

/** Source code is served as text/plain, so that with nosniff no page can load it with <script>. */
const languages = 'shellscript|sh|csh|bash|python|perl|ruby|php|httpd-php|r|r-markdown|ipynb\\+json'
const sourceCode = new RegExp(
  `^(text|application)/(x-)?((java|ecma|type|live|j)script|${languages})$`,
)

/**
 * Returns the headers that describe a file and keep a browser from running it. Only the media types in
 * `safeInline` are served inline, even if inline is requested for others. Names may contain any Unicode.
 */
export function contentHeaders(file: { name: string; mediaType: string }, requested: Disposition) {
  const type = essence(file.mediaType)
  const disposition = requested === 'inline' && safeInline.has(type) ? 'inline' : 'attachment'
  return {
    'Content-Type': servedType(type),
    'Content-Disposition': contentDisposition(file.name, disposition),
    'Content-Security-Policy': policies[disposition],
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  }
}

/**
 * The page that a browser builds around an inline image, video or PDF must load and style the file itself.
 */
const policies: Record<Disposition, string> = {
  attachment: "sandbox; default-src 'none'",
  inline:
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; object-src 'self'; style-src 'unsafe-inline'",
}

/**
 * Returns a Content-Disposition value (RFC 6266, RFC 8187). No name can break out of the quotes or the
 * header.
 */
export function contentDisposition(name: string, type: Disposition): string {
  const clean = name.toWellFormed().replace(/[\p{Cc}/]/gu, '_')
  return create(clean, { type, fallback: asciiFallback(clean) })
}

/** RFC 6266, appendix D: old clients misread escapes and percent signs in `filename`. */
function asciiFallback(name: string): string {
  const plain = name.normalize('NFD').replace(/\p{M}/gu, '')
  return plain.replace(/[^\x20-\x7e]/gu, '_').replace(/["\\%/]/g, '_')
}

function essence(mediaType: string): string {
  const [type = ''] = mediaType.toLowerCase().split(';')
  return /^[\w!#$&^.+-]+\/[\w!#$&^.+-]+$/.test(type.trim())
    ? type.trim()
    : 'application/octet-stream'
}

function servedType(type: string): string {
  return type === 'text/plain' || sourceCode.test(type) ? 'text/plain; charset=utf-8' : type
}
