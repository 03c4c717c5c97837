import { Readable } from 'node:stream'
import type { BlobStore } from '../../../blobs/blob-store.ts'
import type { ServiceContext } from '../../../context.ts'
import { newId } from '../../../database/ids.ts'
import { ChecksumMismatch, FileTooLarge } from '../../../errors/uploads.ts'
import { detectMediaType } from '../../files/media.ts'
import type { Zip } from '../zip/zip-reader.ts'
import { invalidArchive, type ZipMember } from '../zip/zip-records.ts'
import { type ImportItem, importItems } from './import-items.ts'
import type { StagedItem } from './insert-tree.ts'
import type { TempFile } from './temp-file.ts'

/** Number of entries that are staged in parallel: syncing small files is mostly waiting for the disk. */
const CONCURRENCY = 8

/**
 * Commits the bytes of all entries of an archive to the store and writes the staged items to `staged`. Throws
 * the first error; by then `staged` contains every item whose bytes were committed.
 */
export async function stageAll(ctx: ServiceContext, zip: Zip, staged: TempFile) {
  const queue: Promise<StagedItem>[] = []
  const writeItem = async (item: StagedItem | undefined) => {
    if (item) await staged.write(`${JSON.stringify(item)}\n`)
  }
  try {
    for await (const item of importItems(zip)) {
      const staging = stage(ctx, zip, item)
      // The error is thrown when this promise is awaited below.
      staging.catch(() => {})
      queue.push(staging)
      if (queue.length >= CONCURRENCY) await writeItem(await queue.shift())
    }
    while (queue.length > 0) await writeItem(await queue.shift())
  } finally {
    for (const { value } of (await Promise.allSettled(queue)).filter(isFulfilled))
      await writeItem(value)
  }
}

const isFulfilled = <T>(result: PromiseSettledResult<T>) => result.status === 'fulfilled'

/** Commits the bytes of all versions of an entry, or of none if one fails. */
async function stage(
  ctx: ServiceContext,
  zip: Zip,
  { versions, ...item }: ImportItem,
): Promise<StagedItem> {
  const staged: StagedItem['versions'] = []
  try {
    for (const version of versions) staged.push(await stageVersion(ctx, zip, item.path, version))
  } catch (error) {
    await removeBytes(ctx, staged)
    throw error
  }
  return { ...item, versions: staged }
}

async function stageVersion(
  { blobs, limits }: ServiceContext,
  zip: Zip,
  path: string,
  { member, sha256: announced, ...facts }: ImportItem['versions'][number],
): Promise<StagedItem['versions'][number]> {
  if (member.size > limits.maxUploadBytes)
    throw new FileTooLarge(limits.maxUploadBytes).at('uploadId')
  const key = newId('upl')
  try {
    await blobs.stage(key, member.size)
    await copy(blobs, key, zip, member)
    const sha256 = await blobs.sha256(key, member.size)
    if (announced !== null && announced !== sha256)
      throw new ChecksumMismatch({ expected: announced, actual: sha256 }).at('uploadId', path)
    const name = path.slice(path.lastIndexOf('/') + 1)
    const media = await detectMediaType(await blobs.peek(key, HEAD_BYTES), name)
    await blobs.commit(key)
    // Discard the upload state of the committed blob.
    await blobs.discard(key)
    return { ...media, blob: { id: key, size: member.size, sha256 }, ...facts }
  } catch (error) {
    await Promise.allSettled([blobs.discard(key), blobs.remove(key)])
    throw error
  }
}

/** Number of leading bytes that media type detection reads. */
const HEAD_BYTES = 4100

/**
 * Copies a member into the store. When its source fails, the store keeps the bytes that it received before
 * the error, so that error is rethrown here.
 */
async function copy(blobs: BlobStore, key: string, zip: Zip, member: ZipMember): Promise<void> {
  let sourceError: unknown
  async function* readMember() {
    try {
      yield* zip.open(member)
    } catch (error) {
      sourceError = error
      throw error
    }
  }
  const source = Readable.from(readMember(), { objectMode: false })
  const length = await blobs.append(key, 0, source).catch((error) => {
    throw sourceError ?? error
  })
  if (sourceError) throw sourceError
  if (length !== member.size)
    throw invalidArchive(`${JSON.stringify(member.name)} has ${length} bytes, not ${member.size}`)
}

/** Removes the bytes that stageAll committed and no row refers to. */
export async function removeAll(ctx: ServiceContext, staged: TempFile) {
  for await (const { versions } of staged.lines<StagedItem>()) await removeBytes(ctx, versions)
}

/** Removes the bytes of versions that have no row. The sweeper collects what cannot be removed here. */
async function removeBytes({ db, blobs }: ServiceContext, versions: StagedItem['versions']) {
  if (versions.length === 0) return
  const keys = versions.map(({ blob }) => blob.id)
  const rows = await db.selectFrom('blobs').select('id').where('id', 'in', keys).execute()
  const referenced = new Set(rows.map(({ id }) => id))
  for (const key of keys) if (!referenced.has(key)) await blobs.remove(key).catch(() => {})
}
