import type { Viewer } from '../../context.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import type { RowLink } from '../../domains/tables/links.ts'
import type { NewUpload } from '../../domains/uploads/create/upload-row.ts'
import { InvalidInput } from '../../errors.ts'
import { checkRowLinkFields, checkUploadFields } from './field-limits.ts'
import type { FilePart } from './multipart-parser.ts'

/** What is said of a file, in fields of its form or in the query; an empty one counts as absent. */
export type FieldReader = (name: string) => string | null

/** A field of the form goes before the query. */
export const fieldReader =
  (fields: ReadonlyMap<string, string>, query: URLSearchParams): FieldReader =>
  (name) =>
    fields.get(name) || query.get(name) || null

/** Null where nobody has named it (yet). */
export const workspaceIn = (said: FieldReader, viewer: Viewer) =>
  said('workspaceId') ?? viewer?.workspaceId ?? null

const modes: readonly NameConflictMode[] = ['FAIL', 'RENAME', 'NEW_VERSION', 'REPLACE']

/** The upload that a form asks for. Throws InvalidInput. */
export function uploadFromForm(said: FieldReader, part: FilePart, viewer: Viewer): NewUpload {
  const workspaceId = workspaceIn(said, viewer)
  if (!workspaceId) throw refused('workspaceId', 'is needed, unless the token is bound to one')
  const onConflict = said('onConflict')
  const mode = modes.find((known) => known === onConflict)
  if (onConflict && !mode) throw refused('onConflict', `is one of ${modes.join(', ')}`)
  const upload = {
    workspaceId,
    ...placeIn(said),
    name: said('name') ?? plainName(part.name),
    mediaType: part.mediaType,
    sha256: said('sha256'),
    description: said('description'),
    tags: said('tags')?.split(','),
    onConflict: mode,
  }
  checkUploadFields(upload)
  return upload
}

/** `root` is the root itself, also where a workspace has drive folders for what names no place. */
function placeIn(said: FieldReader): Pick<NewUpload, 'folderId' | 'path'> {
  const [folderId, path] = [said('folderId'), said('path') ?? said('dir')]
  return folderId === 'root' ? { folderId: null, path: path ?? '' } : { folderId, path }
}

/** HTML, "multipart form data": in a file name browsers and curl write a quote and line breaks so, and nothing else. */
const plainName = (name: string | null) =>
  name?.replace(/%(22|0D|0A)/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** The row that is to hold the file's path: db_commit, table_name and column_name. Throws InvalidInput. */
export function rowLinkFromForm(said: FieldReader): RowLink | null {
  if (!/^(true|1|yes|on)$/i.test(said('db_commit') ?? '')) return null
  const [table, column] = [said('table_name'), said('column_name')]
  if (!table) throw refused('table_name', 'is needed with db_commit')
  if (!column) throw refused('column_name', 'is needed with db_commit')
  checkRowLinkFields({ table, column })
  return { table, column }
}

const refused = (field: string, message: string) => new InvalidInput({ path: [field], message })
