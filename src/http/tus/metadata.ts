import type { Viewer } from '../../context.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import { contentTimeOf } from '../../domains/uploads/create/content-time.ts'
import type { NewUpload } from '../../domains/uploads/create/upload-row.ts'
import { parseMediaTypeHint } from '../../domains/uploads/rules.ts'
import { InvalidInput } from '../../errors/input.ts'
import { checkUploadFields } from '../upload/field-limits.ts'

/** tus: keys are non-empty ASCII without spaces and commas, and values Base64. */
const PAIR =
  /^([\x21-\x2b\x2d-\x7e]+)(?: ((?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?))?$/

/** Parses an Upload-Metadata header; values stay bytes. Throws InvalidInput, also for repeated keys. */
export function parseMetadata(header: string): Map<string, Buffer> {
  const metadata = new Map<string, Buffer>()
  if (header.trim() === '') return metadata
  for (const pair of header.split(',')) {
    const [, key, value = ''] = PAIR.exec(pair.trim()) ?? []
    if (!key)
      throw invalid(
        'must be comma-separated pairs of an ASCII key and a Base64 value, separated by a space',
      )
    if (metadata.has(key)) throw invalid(`${JSON.stringify(key)} appears more than once`)
    metadata.set(key, Buffer.from(value, 'base64'))
  }
  return metadata
}

/** The keys of the modification time, the first of which applies that has one. */
const timeKeys = ['contentModifiedAt', 'mtime', 'lastModified']
const modes: readonly NameConflictMode[] = ['FAIL', 'RENAME', 'NEW_VERSION', 'REPLACE']

/**
 * Returns the input of createUpload from the metadata of a plain tus client. An empty value counts as
 * absent. Unknown keys are ignored. `defaultWorkspaceId` applies without a key workspaceId. Throws
 * InvalidInput.
 */
export function uploadFromMetadata(
  header: string | undefined,
  viewer: Viewer,
  defaultWorkspaceId: string | null = null,
): NewUpload {
  const metadata = parseMetadata(header ?? '')
  const text = (key: string) => parseText(metadata, key)
  const workspaceId = text('workspaceId') ?? defaultWorkspaceId ?? viewer?.workspaceId
  if (!workspaceId)
    throw invalid('workspaceId is required unless the token is bound to a workspace')
  const upload = {
    workspaceId,
    path: text('path'),
    folderId: text('folderId'),
    relativePath: text('relativePath'),
    name: text('name') ?? text('filename'),
    mediaType: mediaTypeIn(metadata),
    sha256: text('sha256'),
    description: text('description'),
    contentModifiedAt: contentTimeOf(timeKeys.map((key) => metadata.get(key)?.toString())),
    tags: text('tags')?.split(','),
    onConflict: parseOneOf('onConflict', modes, text('onConflict')),
    versionOf: text('versionOf'),
    autoConfirm: parseOneOf('confirm', ['auto'], text('confirm')) === 'auto',
    tusMetadata: header,
  }
  checkUploadFields(upload)
  return upload
}

/** Returns the first of the keys of the media type that has one; the others are ignored. */
function mediaTypeIn(metadata: ReadonlyMap<string, Buffer>): string | null {
  const hints = ['filetype', 'type'].map((key) => metadata.get(key)?.toString('latin1') ?? '')
  return hints.map(parseMediaTypeHint).find((hint) => hint !== null) ?? null
}

function parseText(metadata: ReadonlyMap<string, Buffer>, key: string): string | null {
  const value = metadata.get(key)
  if (!value || value.length === 0) return null
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value)
  } catch {
    throw invalid(`${key} is not UTF-8: encode the text as UTF-8 before Base64`)
  }
}

function parseOneOf<T extends string>(
  key: string,
  known: readonly T[],
  value: string | null,
): T | null {
  const found = known.find((word) => word === value)
  if (found || value === null) return found ?? null
  throw invalid(`${key} must be one of ${known.join(', ')}`)
}

const invalid = (message: string) => new InvalidInput({ path: ['Upload-Metadata'], message })
