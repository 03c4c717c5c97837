import { fileTypeFromBuffer } from 'file-type'
import mime from 'mime'
import type { MediaKind } from '../../database/tables.ts'

export type Media = { mediaType: string; mediaKind: MediaKind }

/** What the name alone says, where the mime package does not know it, or where its answer misleads. A type has one kind. */
const known: Record<string, [mediaType: string, kind: MediaKind]> = {
  csv: ['text/csv', 'SPREADSHEET'],
  tsv: ['text/tab-separated-values', 'SPREADSHEET'],
  rds: ['application/x-rds', 'DATA'],
  rdata: ['application/x-rdata', 'DATA'],
  sav: ['application/x-spss-sav', 'DATA'],
  dta: ['application/x-stata-dta', 'DATA'],
  vcf: ['text/x-variant-call-format', 'DATA'],
  bam: ['application/x-bam', 'DATA'],
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
  avi: ['video/vnd.avi', 'VIDEO'],
  tgz: ['application/gzip', 'ARCHIVE'],
}
// Maps: a name may end in .constructor, which every object has.
const typesByExtension = new Map(Object.entries(known).map(([name, [type]]) => [name, type]))
const kindsByType = new Map(Object.values(known))

/** The first that fits decides. */
const kindsOfTypes: [RegExp, MediaKind][] = [
  [/^image\//, 'IMAGE'],
  [/^audio\//, 'AUDIO'],
  [/^video\/|vnd\.ms-asf/, 'VIDEO'],
  [/spreadsheet|ms-excel/, 'SPREADSHEET'],
  [/wordprocessing|presentation|opendocument|msword|ms-powerpoint|pdf|rtf|epub/, 'DOCUMENT'],
  [/zip|x-tar|x-7z|x-rar|vnd\.rar|x-xz|x-bzip|zstd|compressed/, 'ARCHIVE'],
  [/javascript|typescript|x-sh|x-python|x-httpd-php|text\/(html|css|x-)/, 'CODE'],
  [/json|xml$|yaml|sql|parquet|arrow|avro/, 'DATA'],
  [/^text\//, 'DOCUMENT'],
]

/** Bytes that do not tell what is in them, and the types that a name may give them. */
const containers = new Map<string, RegExp>([
  ['application/zip', /officedocument|opendocument|vnd\.ms-|epub|archive|\+zip/],
  // An office document with a password is one of these, too.
  ['application/x-cfb', /msword|officedocument|vnd\.ms-|vnd\.visio/],
  ['application/xml', /xml|html/],
  ['application/gzip', /x-rds|x-rdata|x-bam/],
  ['application/vnd.ms-asf', /x-ms-/],
  ['image/tiff', /x-lsm/],
])

/**
 * The media type of a file from its first bytes (4 KiB are enough), else from its name; what the client declared is not asked.
 * A name is believed about a container (a .docx is a zip), and about what has no signature (a .csv); bytes that are neither
 * known nor text are application/octet-stream.
 */
export async function detectMediaType(head: Uint8Array, name: string): Promise<Media> {
  const seen = (await fileTypeFromBuffer(head))?.mime
  const named = typeOfName(name)
  if (!seen) return withKind(named ?? (isText(head) ? 'text/plain' : 'application/octet-stream'))
  return withKind(named && containers.get(seen)?.test(named) ? named : seen)
}

const withKind = (mediaType: string): Media => ({ mediaType, mediaKind: kindOf(mediaType) })

const typeOfName = (name: string) =>
  typesByExtension.get(extensionOf(name)) ?? mime.getType(extensionOf(name))

export const kindOf = (mediaType: string): MediaKind =>
  kindsByType.get(mediaType) ??
  kindsOfTypes.find(([pattern]) => pattern.test(mediaType))?.[1] ??
  'OTHER'

/** The last one, in lower case and without its dot; empty where there is none. A dot at the start begins a name. */
const extensionOf = (name: string) => /^.+\.([^.]+)$/s.exec(name.toLowerCase())?.[1] ?? ''

function isText(head: Uint8Array): boolean {
  if (head.length === 0 || head.includes(0)) return false
  // stream: the last character of the head may be cut.
  return !new TextDecoder('utf-8').decode(head, { stream: true }).includes('\ufffd')
}

const drives = new Map([
  ...['jpg', 'jpeg', 'png'].map((extension) => [extension, 'image'] as const),
  ...['mp3', 'wav'].map((extension) => [extension, 'audio'] as const),
  ...['mp4', 'wmv', 'avi'].map((extension) => [extension, 'video'] as const),
])

/** Where a workspace with autoFile puts a file that names no folder: the last extension decides. */
export const driveFolder = (name: string) => `drive/${drives.get(extensionOf(name)) ?? 'others'}`
