import type { Viewer } from '../../context.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import type { RowLink } from '../../domains/tables/links.ts'
import { contentTimeOf } from '../../domains/uploads/create/content-time.ts'
import type { NewUpload } from '../../domains/uploads/create/upload-row.ts'
import { InvalidInput } from '../../errors/input.ts'
import { checkRowLinkFields, checkUploadFields } from './field-limits.ts'
import type { FilePart } from './form-files.ts'

/** Reads a field of the form or the query. An empty value counts as absent. */
export type FieldReader = (name: string) => string | null

/** Creates a reader that prefers the fields of the form to the query. */
export const fieldReader =
  (fields: ReadonlyMap<string, string>, query: URLSearchParams): FieldReader =>
  (name) =>
    fields.get(name) || query.get(name) || null

/**
 * Returns the workspace of the fields read so far, the query or the token, or null if none names it. Throws
 * InvalidInput.
 */
export function workspaceFrom(field: FieldReader, viewer: Viewer): string | null {
  const workspaceId = field('workspaceId') ?? viewer?.workspaceId ?? null
  checkUploadFields({ workspaceId })
  return workspaceId
}

/** The fields of the modification time, the first of which applies that has one. */
const timeFields = ['contentModifiedAt', 'mtime', 'lastModified']
const modes: readonly NameConflictMode[] = ['FAIL', 'RENAME', 'NEW_VERSION', 'REPLACE']

/** Fields that apply to one file. */
const ofOneFile = ['name', 'sha256']

/** Returns the inputs of createUpload for the files of a form. Throws InvalidInput. */
export function uploadsFromForm(
  field: FieldReader,
  parts: FilePart[],
  viewer: Viewer,
): NewUpload[] {
  const misplaced = parts.length > 1 && ofOneFile.find((name) => field(name) !== null)
  if (misplaced)
    throw invalid(misplaced, `applies to one file, but the form has ${parts.length} files`)
  return parts.map((part) => uploadFromForm(field, part, viewer))
}

function uploadFromForm(field: FieldReader, part: FilePart, viewer: Viewer): NewUpload {
  const workspaceId = workspaceFrom(field, viewer)
  if (!workspaceId)
    throw invalid('workspaceId', 'is required unless the token is bound to a workspace')
  const onConflict = field('onConflict')
  const mode = modes.find((known) => known === onConflict)
  if (onConflict && !mode) throw invalid('onConflict', `must be one of ${modes.join(', ')}`)
  const upload = {
    workspaceId,
    ...destinationFrom(field),
    relativePath: field('relativePath'),
    name: field('name') ?? decodeFileName(part.name),
    mediaType: part.mediaType,
    sha256: field('sha256'),
    description: field('description'),
    contentModifiedAt: contentTimeOf(timeFields.map(field)),
    tags: field('tags')?.split(','),
    onConflict: mode,
  }
  checkUploadFields(upload)
  return upload
}

/** `root` selects the root folder, even if autoFile sorts uploads without a folder into drive folders. */
function destinationFrom(field: FieldReader): Pick<NewUpload, 'folderId' | 'path'> {
  const [folderId, path] = [field('folderId'), field('path') ?? field('dir')]
  return folderId === 'root' ? { folderId: null, path: path ?? '' } : { folderId, path }
}

/** HTML, "multipart form data": browsers and curl encode only quotes and line breaks in file names. */
const decodeFileName = (name: string | null) =>
  name?.replace(/%(22|0D|0A)/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/**
 * Returns the row that stores the path of the file (db_commit, table_name, column_name), or null. Throws
 * InvalidInput.
 */
export function rowLinkFromForm(field: FieldReader): RowLink | null {
  if (!/^(true|1|yes|on)$/i.test(field('db_commit') ?? '')) return null
  const [table, column] = [field('table_name'), field('column_name')]
  if (!table) throw invalid('table_name', 'is required with db_commit')
  if (!column) throw invalid('column_name', 'is required with db_commit')
  checkRowLinkFields({ table, column })
  return { table, column }
}

const invalid = (field: string, message: string) => new InvalidInput({ path: [field], message })
