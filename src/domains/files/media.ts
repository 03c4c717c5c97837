import { fileTypeFromBuffer } from 'file-type'
import mime from 'mime'
import type { MediaKind } from '../../database/tables.ts'

export type Media = { mediaType: string; mediaKind: MediaKind }

/**
 * Overrides by file extension, for types that the mime package lacks or reports misleadingly. A media type
 * has one kind.
 */
const overrides: Record<string, [mediaType: string, kind: MediaKind]> = {
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
// These are maps, because an extension may be the name of an object property, such as .constructor.
const typesByExtension = new Map(Object.entries(overrides).map(([name, [type]]) => [name, type]))
const kindsByType = new Map(Object.values(overrides))

/** The first matching pattern determines the kind. */
const kindPatterns: [RegExp, MediaKind][] = [
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

/** Container formats, each with the more specific types that the name of a file may select. */
const containers = new Map<string, RegExp>([
  ['application/zip', /officedocument|opendocument|vnd\.ms-|epub|archive|\+zip/],
  // A password-protected office document has this type too.
  ['application/x-cfb', /msword|officedocument|vnd\.ms-|vnd\.visio/],
  ['application/xml', /xml|html/],
  ['application/gzip', /x-rds|x-rdata|x-bam/],
  ['application/vnd.ms-asf', /x-ms-/],
  ['image/tiff', /x-lsm/],
])

/**
 * Detects the media type of a file from its first bytes (4 KiB are enough), or else from its name. The name
 * also refines a container format (a .docx file is a ZIP) and determines types without a signature (such as
 * .csv). Any other file is text/plain or application/octet-stream.
 */
export async function detectMediaType(head: Uint8Array, name: string): Promise<Media> {
  const detected = (await fileTypeFromBuffer(head))?.mime
  const named = typeOfName(name)
  if (!detected)
    return withKind(named ?? (isText(head) ? 'text/plain' : 'application/octet-stream'))
  return withKind(named && containers.get(detected)?.test(named) ? named : detected)
}

const withKind = (mediaType: string): Media => ({ mediaType, mediaKind: kindOf(mediaType) })

const typeOfName = (name: string) =>
  typesByExtension.get(extensionOf(name)) ?? mime.getType(extensionOf(name))

/** Returns the kind of a media type. */
export const kindOf = (mediaType: string): MediaKind =>
  kindsByType.get(mediaType) ??
  kindPatterns.find(([pattern]) => pattern.test(mediaType))?.[1] ??
  'OTHER'

/**
 * Returns the last extension in lower case without its dot, or ''. A leading dot starts a name, not an
 * extension.
 */
const extensionOf = (name: string) => /^.+\.([^.]+)$/s.exec(name.toLowerCase())?.[1] ?? ''

function isText(head: Uint8Array): boolean {
  if (head.length === 0 || head.includes(0)) return false
  // With `stream`, the head may end within a character.
  return !new TextDecoder('utf-8').decode(head, { stream: true }).includes('\ufffd')
}

const driveFolders = new Map([
  ...['jpg', 'jpeg', 'png'].map((extension) => [extension, 'image'] as const),
  ...['mp3', 'wav'].map((extension) => [extension, 'audio'] as const),
  ...['mp4', 'wmv', 'avi'].map((extension) => [extension, 'video'] as const),
])

/**
 * Returns the folder for an upload without a folder in a workspace with autoFile. It depends on the last
 * extension of the name.
 */
export const driveFolder = (name: string) =>
  `drive/${driveFolders.get(extensionOf(name)) ?? 'others'}`
