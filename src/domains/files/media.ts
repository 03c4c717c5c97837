import { fileTypeFromBuffer } from 'file-type'
import mime from 'mime'
import type { MediaKind } from '../../database/tables.ts'

export type Media = { mediaType: string; mediaKind: MediaKind }

/** What the name alone says, where the mime package does not know it, or where its answer misleads. */
const byExtension: Record<string, [mediaType: string, kind: MediaKind]> = {
  csv: ['text/csv', 'SPREADSHEET'],
  tsv: ['text/tab-separated-values', 'SPREADSHEET'],
  rds: ['application/x-rds', 'DATA'],
  rdata: ['application/x-rdata', 'DATA'],
  sav: ['application/x-spss-sav', 'DATA'],
  dta: ['application/x-stata-dta', 'DATA'],
  parquet: ['application/vnd.apache.parquet', 'DATA'],
  json: ['application/json', 'DATA'],
  xml: ['application/xml', 'DATA'],
  yaml: ['application/yaml', 'DATA'],
  yml: ['application/yaml', 'DATA'],
  txt: ['text/plain', 'DOCUMENT'],
  log: ['text/plain', 'DOCUMENT'],
  md: ['text/markdown', 'DOCUMENT'],
  czi: ['image/x-czi', 'IMAGE'],
  nd2: ['image/x-nd2', 'IMAGE'],
  lsm: ['image/x-lsm', 'IMAGE'],
  py: ['text/x-python', 'CODE'],
  ipynb: ['application/x-ipynb+json', 'CODE'],
  r: ['text/x-r', 'CODE'],
  rmd: ['text/x-r-markdown', 'CODE'],
  sh: ['application/x-sh', 'CODE'],
  bash: ['application/x-sh', 'CODE'],
  ts: ['text/typescript', 'CODE'],
  wav: ['audio/wav', 'AUDIO'],
  wmv: ['video/x-ms-wmv', 'VIDEO'],
  avi: ['video/x-msvideo', 'VIDEO'],
  'tar.gz': ['application/gzip', 'ARCHIVE'],
  tgz: ['application/gzip', 'ARCHIVE'],
}

/** The first that fits decides. */
const kindsOfTypes: [RegExp, MediaKind][] = [
  [/spreadsheet|ms-excel/, 'SPREADSHEET'],
  [/wordprocessing|presentation|opendocument|msword|ms-powerpoint|pdf|rtf|epub/, 'DOCUMENT'],
  [/zip|x-tar|x-7z|x-rar|vnd\.rar|x-xz|x-bzip|zstd|compressed/, 'ARCHIVE'],
  [/javascript|typescript|x-sh|x-python|x-httpd-php|text\/(html|css|x-)/, 'CODE'],
  [/json|xml$|yaml|sql|parquet/, 'DATA'],
  [/^image\//, 'IMAGE'],
  [/^audio\//, 'AUDIO'],
  [/^video\//, 'VIDEO'],
  [/^text\//, 'DOCUMENT'],
]

/** Containers whose bytes do not tell what is in them: there the name may say more. */
const containers = new Set([
  'application/zip',
  'application/x-cfb',
  'application/xml',
  'application/gzip',
])
/** Families of camera and microscope formats that look like their ancestor. */
const ancestors: Record<string, string> = { lsm: 'image/tiff' }

/**
 * The media type of a file from its first bytes (4 KiB are enough), else from its name; what the client declared is not asked.
 * A name is believed about a container (a .docx is a zip), and about what has no signature (a .csv); bytes that are neither
 * known nor text are application/octet-stream.
 */
export async function detectMediaType(head: Uint8Array, name: string): Promise<Media> {
  const seen = (await fileTypeFromBuffer(head))?.mime
  const named = mediaOfName(name)
  if (!seen)
    return (
      named ?? {
        mediaType: isText(head) ? 'text/plain' : 'application/octet-stream',
        mediaKind: 'OTHER',
      }
    )
  if (named && (containers.has(seen) || ancestors[extensionOf(name)] === seen)) return named
  return { mediaType: seen, mediaKind: kindOf(seen) }
}

function mediaOfName(name: string): Media | null {
  const known = byExtension[extensionOf(name)]
  if (known) return { mediaType: known[0], mediaKind: known[1] }
  const mediaType = mime.getType(extensionOf(name))
  return mediaType ? { mediaType, mediaKind: kindOf(mediaType) } : null
}

/** The kind of a media type; where a name is at hand that the table knows with this very type, the table decides. */
export function kindOf(mediaType: string, name = ''): MediaKind {
  const known = byExtension[extensionOf(name)]
  if (known?.[0] === mediaType) return known[1]
  return kindsOfTypes.find(([pattern]) => pattern.test(mediaType))?.[1] ?? 'OTHER'
}

/** Lower case, without the dot; `tar.gz` is one extension. Empty where there is none. */
export function extensionOf(name: string): string {
  const [, extension = ''] = /\.((?:tar\.)?[^.]+)$/.exec(name.toLowerCase()) ?? []
  return extension
}

function isText(head: Uint8Array): boolean {
  if (head.length === 0 || head.includes(0)) return false
  // stream: the last character of the head may be cut.
  return !new TextDecoder('utf-8').decode(head, { stream: true }).includes('\ufffd')
}

const drives: Record<string, string> = {
  jpg: 'image',
  jpeg: 'image',
  png: 'image',
  mp3: 'audio',
  wav: 'audio',
  mp4: 'video',
  wmv: 'video',
  avi: 'video',
}

/** Where a workspace with autoFile puts a file that names no folder: the last extension decides. */
export const driveFolder = (name: string) => `drive/${drives[extensionOf(name)] ?? 'others'}`
