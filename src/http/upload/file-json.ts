import type { ServiceContext } from '../../context.ts'
import { entryById, loadPath } from '../../domains/entries/reads.ts'
import { versionsById } from '../../domains/files/reads.ts'
import { tagsOfEntries } from '../../domains/tags/reads.ts'
import { NotFound } from '../../errors/access.ts'
import { downloadUrl, LINK_TTL_MS } from '../../signing/signed-links.ts'

/**
 * Returns a file as JSON, with the fields of the GraphQL type File. `key` equals `id`. A token without
 * scope FILES_READ receives only id, key, name, path and size. Throws NotFound.
 */
export async function fileJson(ctx: ServiceContext, fileId: string) {
  const { db } = ctx
  const file = await entryById(db, fileId)
  if (file?.kind !== 'file') throw new NotFound(fileId)
  const [version] = await versionsById(db, [file.versionId])
  if (!version) throw new NotFound(fileId)
  const basic = {
    id: file.id,
    key: file.id,
    name: file.name,
    path: await loadPath(db, file),
    size: file.size,
  }
  if (!ctx.viewer?.scopes.has('FILES_READ')) return basic
  const [tags = []] = await tagsOfEntries(db, [fileId])
  return {
    ...basic,
    sha256: file.sha256,
    mediaType: file.mediaType,
    kind: file.mediaKind,
    description: file.description,
    tags: tags.map(({ name }) => name),
    version: { id: version.id, number: version.number },
    createdAt: new Date(file.createdAt).toISOString(),
    contentModifiedAt:
      file.contentModifiedAt === null ? null : new Date(file.contentModifiedAt).toISOString(),
    downloadUrl: createLink(ctx, version.id, file.name),
  }
}

/** Returns a download link to a version that is valid for one hour, and as long as the viewer's token. */
export function createLink(ctx: ServiceContext, versionId: string, name: string): string {
  const tokenId = ctx.viewer?.tokenId
  const expiresAt = ctx.now() + LINK_TTL_MS
  return downloadUrl(ctx, { versionId, disposition: 'attachment', expiresAt, tokenId }, name)
}
