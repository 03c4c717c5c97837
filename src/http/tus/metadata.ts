import type { Viewer } from '../../context.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import type { NewUpload } from '../../domains/uploads/create/upload-row.ts'
import { InvalidInput } from '../../errors.ts'
import { checkUploadFields } from '../upload/field-limits.ts'

/** tus: keys are ASCII without spaces and commas and not empty, values Base64, and "All keys MUST be unique". */
const PAIR =
  /^([\x21-\x2b\x2d-\x7e]+)(?: ((?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?))?$/

/** Reads an Upload-Metadata header; throws InvalidInput. Values are bytes: only who uses one asks whether it is text. */
export function parseMetadata(header: string): Map<string, Buffer> {
  const metadata = new Map<string, Buffer>()
  if (header.trim() === '') return metadata
  for (const pair of header.split(',')) {
    const [, key, value = ''] = PAIR.exec(pair.trim()) ?? []
    if (!key)
      throw refused('pairs of an ASCII key, a space and a value in Base64, with commas between')
    if (metadata.has(key)) throw refused(`${JSON.stringify(key)} is there twice`)
    metadata.set(key, Buffer.from(value, 'base64'))
  }
  return metadata
}

const modes: readonly NameConflictMode[] = ['FAIL', 'RENAME', 'NEW_VERSION', 'REPLACE']

/**
 * The upload that a plain tus client asks for with the metadata of its POST. An empty value counts as absent, and keys that mean
 * nothing here are left alone: clients send what they have. Throws InvalidInput.
 */
export function uploadFromMetadata(
  header: string | undefined,
  viewer: Viewer,
  usualWorkspaceId: string | null = null,
): NewUpload {
  const metadata = parseMetadata(header ?? '')
  const text = (key: string) => textOf(metadata, key)
  const workspaceId = text('workspaceId') ?? usualWorkspaceId ?? viewer?.workspaceId
  if (!workspaceId) throw refused('workspaceId is needed, unless the token is bound to a workspace')
  const upload = {
    workspaceId,
    path: text('path'),
    folderId: text('folderId'),
    name: text('name') ?? text('filename'),
    mediaType: text('filetype') ?? text('type'),
    sha256: text('sha256'),
    description: text('description'),
    tags: text('tags')?.split(','),
    onConflict: oneOf('onConflict', modes, text('onConflict')),
    versionOf: text('versionOf'),
    autoConfirm: oneOf('confirm', ['auto'], text('confirm')) === 'auto',
    tusMetadata: header,
  }
  checkUploadFields(upload)
  return upload
}

function textOf(metadata: ReadonlyMap<string, Buffer>, key: string): string | null {
  const value = metadata.get(key)
  if (!value || value.length === 0) return null
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value)
  } catch {
    throw refused(`${key} is not UTF-8`)
  }
}

function oneOf<T extends string>(key: string, known: readonly T[], value: string | null): T | null {
  const found = known.find((word) => word === value)
  if (found || value === null) return found ?? null
  throw refused(`${key} is one of ${known.join(', ')}`)
}

const refused = (message: string) => new InvalidInput({ path: ['Upload-Metadata'], message })
