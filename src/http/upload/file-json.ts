import type { ServiceContext } from '../../context.ts'
import { entryById, pathOf } from '../../domains/entries/reads.ts'
import { versionsById } from '../../domains/files/reads.ts'
import { tagsOfEntries } from '../../domains/tags/reads.ts'
import { NotFound } from '../../errors.ts'
import { downloadUrl } from '../../signing/signed-links.ts'

const LINK_MS = 3_600_000

/**
 * A file as GraphQL shows it, in one object; `key` is its id. A token without FILES_READ is answered with
 * what it has just written: id, name, path and size.
 */
export async function fileJson(ctx: ServiceContext, fileId: string) {
  const { db } = ctx
  const file = await entryById(db, fileId)
  const [version] = await versionsById(db, [file?.versionId ?? ''])
  const parent = file?.parentId ? await entryById(db, file.parentId) : null
  if (!file || !version) throw new NotFound(fileId)
  const written = {
    id: file.id,
    key: file.id,
    name: file.name,
    path: pathOf(file, parent),
    size: file.size,
  }
  if (!ctx.viewer?.scopes.has('FILES_READ')) return written
  const [tags = []] = await tagsOfEntries(db, [fileId])
  return {
    ...written,
    sha256: file.sha256,
    mediaType: file.mediaType,
    kind: file.mediaKind,
    description: file.description,
    tags: tags.map(({ name }) => name),
    version: { id: version.id, number: version.number },
    createdAt: new Date(file.createdAt).toISOString(),
    downloadUrl: linkTo(ctx, version.id, file.name),
  }
}

function linkTo(ctx: ServiceContext, versionId: string, name: string): string {
  const tokenId = ctx.viewer?.tokenId
  const expiresAt = ctx.now() + LINK_MS
  return downloadUrl(ctx, { versionId, disposition: 'attachment', expiresAt, tokenId }, name)
}
