import { create } from 'content-disposition'

export type Disposition = 'attachment' | 'inline'

/** What a browser shows without running anything of it. */
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

/** Code is sent as text: beside nosniff, no page can load it with <script>. */
const languages = 'shellscript|sh|csh|bash|python|perl|ruby|php|httpd-php|r|r-markdown|ipynb\\+json'
const code = new RegExp(`^(text|application)/(x-)?((java|ecma|type|live|j)script|${languages})$`)

/**
 * Headers that say what the bytes are and keep a browser from running them. Inline is given only to the few types of the list
 * above, whatever was asked; names may be any Unicode.
 */
export function contentHeaders(file: { name: string; mediaType: string }, asked: Disposition) {
  const type = essence(file.mediaType)
  const disposition = asked === 'inline' && safeInline.has(type) ? 'inline' : 'attachment'
  return {
    'Content-Type': servedType(type),
    'Content-Disposition': contentDisposition(file.name, disposition),
    'Content-Security-Policy': policies[disposition],
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-site',
  }
}

/** A browser's own page around an inline picture, film or PDF needs to load and to style the thing itself. */
const policies: Record<Disposition, string> = {
  attachment: "sandbox; default-src 'none'",
  inline:
    "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; object-src 'self'; style-src 'unsafe-inline'",
}

/** Content-Disposition by RFC 6266 and RFC 8187. Nothing in a name can end the header or the quotes. */
export function contentDisposition(name: string, type: Disposition): string {
  const clean = name.toWellFormed().replace(/[\p{Cc}/]/gu, '_')
  return create(clean, { type, fallback: asciiTwin(clean) })
}

/** RFC 6266, appendix D: no escapes and no percent signs where old clients look. */
function asciiTwin(name: string): string {
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
  return type === 'text/plain' || code.test(type) ? 'text/plain; charset=utf-8' : type
}
