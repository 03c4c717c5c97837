import type { FileRow } from '../entries/reads.ts'
import type { VersionRow } from '../files/reads.ts'
import type { TreeItem } from './tree.ts'
import { memberName, versionName } from './zip/members.ts'

/** The manifest is JSON with one entry per line, so that it can be read and written line by line. */
export const MANIFEST_HEAD = '{"format":"holdall-archive","formatVersion":1,"entries":[\n'
export const MANIFEST_TAIL = '\n]}\n'

export type ManifestEntry = {
  /** Path relative to the archived folder. */
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
  contentModifiedAt?: string
  /** Name of the archive member with the bytes of this version. */
  member: string
}

/** Returns the manifest entry of one item of the tree. */
export function manifestEntry({ entry, path, tags, versions }: TreeItem): ManifestEntry {
  const { id, kind, description, metadata, createdAt, updatedAt } = entry
  const common = {
    path,
    kind,
    id,
    description,
    tags,
    metadata: JSON.parse(metadata) as Record<string, unknown>,
    createdAt: new Date(createdAt).toISOString(),
    updatedAt: new Date(updatedAt).toISOString(),
  }
  if (entry.kind === 'folder') return common
  return {
    ...common,
    size: entry.size,
    mediaType: entry.mediaType,
    sha256: entry.sha256,
    versions: versions.map((version) => ({
      number: version.number,
      size: version.size,
      sha256: version.sha256,
      mediaType: version.mediaType,
      comment: version.comment,
      createdAt: new Date(version.createdAt).toISOString(),
      ...(version.contentModifiedAt !== null && {
        contentModifiedAt: new Date(version.contentModifiedAt).toISOString(),
      }),
      member: versionMember(entry, path, version),
    })),
  }
}

/** Returns the name of the archive member with the bytes of a version of a file. */
export const versionMember = ({ versionId }: FileRow, path: string, { id, number }: VersionRow) =>
  id === versionId ? memberName(path) : versionName(path, number)

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
 * Returns one CSV line (RFC 4180) with tags separated by "; " and with metadata and versions as JSON. A "'"
 * is put before a text that a spreadsheet would evaluate as a formula. To parse the CSV, remove the first "'"
 * of every cell that matches FORMULA.
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
 * Matches texts that spreadsheets evaluate as formulas (OWASP, "CSV Injection"), also if they start with a
 * full-width character. Preceding quotes match too, so that an added quote can be distinguished from an
 * original one.
 */
const FORMULA = /^'*[=+\-@\t\r\n＝＋－＠]/

const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
