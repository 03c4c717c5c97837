import { entryById, pathOf } from '../domains/entries/reads.ts'
import { versionsById } from '../domains/files/reads.ts'
import { tagsOfEntries } from '../domains/tags/reads.ts'
import { NotFound } from '../errors.ts'
import type { Scope } from '../scope.ts'
import { downloadUrl } from '../signing/signed-links.ts'

const LINK_MS = 3_600_000

/** A file as GraphQL shows it, in one object. `key` is its id; the link is null for a token that may not read. */
export async function fileJson(scope: Scope, fileId: string) {
  const { db } = scope
  const file = await entryById(db, fileId)
  const [version] = await versionsById(db, [file?.versionId ?? ''])
  const parent = file?.parentId ? await entryById(db, file.parentId) : null
  if (!file || !version) throw new NotFound(fileId)
  const [tags = []] = await tagsOfEntries(db, [fileId])
  return {
    id: file.id,
    key: file.id,
    name: file.name,
    path: pathOf(file, parent),
    size: file.size,
    sha256: file.sha256,
    mediaType: file.mediaType,
    kind: file.mediaKind,
    description: file.description,
    tags: tags.map(({ name }) => name),
    version: { id: version.id, number: version.number },
    createdAt: new Date(file.createdAt).toISOString(),
    downloadUrl: linkTo(scope, version.id, file.name),
  }
}

function linkTo(scope: Scope, versionId: string, name: string): string | null {
  if (!scope.viewer?.scopes.has('FILES_READ')) return null
  const { tokenId } = scope.viewer
  const expiresAt = scope.now() + LINK_MS
  return downloadUrl(scope, { versionId, disposition: 'attachment', expiresAt, tokenId }, name)
}
