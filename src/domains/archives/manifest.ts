import { memberName, versionName } from './members.ts'
import type { TreeItem } from './tree.ts'

/** The manifest is JSON with one entry on each line, so that it is read and written a line at a time. */
export const MANIFEST_HEAD = '{"format":"holdall-archive","formatVersion":1,"entries":[\n'
export const MANIFEST_TAIL = '\n]}\n'

/** What the manifest tells of one entry. */
export type ManifestEntry = {
  /** From the folder that was archived. */
  path: string
  kind: 'folder' | 'file'
  id?: string
  description: string | null
  tags: string[]
  metadata: Record<string, unknown>
  createdAt?: string
  updatedAt?: string
  size?: number
  mediaType?: string
  sha256?: string
  /** Oldest first; the last is the current one. */
  versions?: ManifestVersion[]
}
export type ManifestVersion = {
  number: number
  size: number
  sha256: string
  mediaType?: string
  comment: string | null
  createdAt?: string
  /** The name of its bytes in the archive. */
  member: string
}

export function manifestEntry({ entry, path, tags, versions }: TreeItem): ManifestEntry {
  const { id, kind, description, metadata, createdAt, updatedAt } = entry
  const told = {
    path,
    kind,
    id,
    description,
    tags,
    metadata: JSON.parse(metadata) as Record<string, unknown>,
    createdAt: new Date(createdAt).toISOString(),
    updatedAt: new Date(updatedAt).toISOString(),
  }
  if (kind === 'folder') return told
  const current = versions.find((version) => version.id === entry.versionId)
  return {
    ...told,
    size: entry.size,
    mediaType: current?.mediaType ?? 'application/octet-stream',
    sha256: entry.sha256 ?? '',
    versions: versions.map((version) => ({
      number: version.number,
      size: version.size,
      sha256: version.sha256,
      mediaType: version.mediaType,
      comment: version.comment,
      createdAt: new Date(version.createdAt).toISOString(),
      member: version === current ? memberName(path) : versionName(path, version.number),
    })),
  }
}

const columns = [
  'path',
  'kind',
  'id',
  'size',
  'mediaType',
  'sha256',
  'description',
  'tags',
  'metadata',
  'createdAt',
  'updatedAt',
  'versions',
] as const

export const CSV_HEAD = `${columns.join(',')}\r\n`

/**
 * One line by RFC 4180: tags with "; " between, metadata and versions as JSON. A text that a spreadsheet would
 * calculate stands behind a "'". To read the table back, drop the first "'" of every cell that matches FORMULA.
 */
export const csvLine = (entry: ManifestEntry) =>
  `${columns.map((column) => csvCell(entry[column], column)).join(',')}\r\n`

function csvCell(value: unknown, column: string): string {
  if (value == null) return ''
  const text =
    column === 'tags'
      ? (value as string[]).join('; ')
      : typeof value === 'object'
        ? JSON.stringify(value)
        : String(value)
  return quoted(FORMULA.test(text) ? `'${text}` : text)
}

/**
 * The characters with which spreadsheets let a formula begin (OWASP, "CSV Injection"), the full-width ones included.
 * Quotes before them count too, so that the added one can be told from one that was there.
 */
const FORMULA = /^'*[=+\-@\t\r\n＝＋－＠]/

const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
