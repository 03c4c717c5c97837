import { Readable } from 'node:stream'
import type { BlobStore } from '../../blobs/blob-store.ts'
import type { ServiceContext } from '../../context.ts'
import { newId } from '../../database/ids.ts'
import { ChecksumMismatch, FileTooLarge } from '../../errors.ts'
import { detectMediaType } from '../files/media.ts'
import { type ImportItem, importItems } from './import-items.ts'
import type { StagedItem } from './insert-tree.ts'
import type { TempFile } from './temp-file.ts'
import type { Zip } from './zip-reader.ts'
import { invalidArchive, type ZipMember } from './zip-records.ts'

/** A disk is waited for by several entries at a time: making small files durable is nothing but waiting. */
const AT_ONCE = 8

/** Puts the bytes of all that an archive brings where they stay, and writes down what and where. Fails with the first that fails. */
export async function stageAll(ctx: ServiceContext, zip: Zip, staged: TempFile) {
  const line: Promise<StagedItem>[] = []
  const put = async (item: StagedItem | undefined) => {
    if (item) await staged.write(`${JSON.stringify(item)}\n`)
  }
  try {
    for await (const item of importItems(zip)) {
      const staging = stage(ctx, zip, item)
      // Whoever is later in the line and fails is heard when its turn comes.
      staging.catch(() => {})
      line.push(staging)
      if (line.length >= AT_ONCE) await put(await line.shift())
    }
    while (line.length > 0) await put(await line.shift())
  } finally {
    for (const { value } of (await Promise.allSettled(line)).filter(isFulfilled)) await put(value)
  }
}

const isFulfilled = <T>(result: PromiseSettledResult<T>) => result.status === 'fulfilled'

/** Puts the bytes of an entry where they stay: all of its versions, or none. */
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
  { member, sha256: announced, number, comment }: ImportItem['versions'][number],
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
    const media = await detectMediaType(
      await blobs.peek(key, HEAD_BYTES),
      path.split('/').at(-1) ?? '',
    )
    await blobs.commit(key)
    // Kept bytes stay; what is still remembered of their arrival goes.
    await blobs.discard(key)
    return { ...media, blob: { id: key, size: member.size, sha256 }, number, comment }
  } catch (error) {
    await Promise.allSettled([blobs.discard(key), blobs.remove(key)])
    throw error
  }
}

/** So many of the first bytes tell the media type. */
const HEAD_BYTES = 4100

/** A store that writes keeps what came before its source broke: why it broke is told here. */
async function copy(blobs: BlobStore, key: string, zip: Zip, member: ZipMember): Promise<void> {
  let broken: unknown
  async function* watched() {
    try {
      yield* zip.open(member)
    } catch (error) {
      broken = error
      throw error
    }
  }
  const source = Readable.from(watched(), { objectMode: false })
  const length = await blobs.append(key, 0, source).catch((error) => {
    throw broken ?? error
  })
  if (broken) throw broken
  if (length !== member.size) throw invalidArchive(`${JSON.stringify(member.name)} came short`)
}

/** Takes away what stageAll has put there and no row refers to. */
export async function removeAll(ctx: ServiceContext, staged: TempFile) {
  for await (const { versions } of staged.lines<StagedItem>()) await removeBytes(ctx, versions)
}

/** Never those of a row, whatever went wrong after it was written. What stays behind here the sweeper takes. */
async function removeBytes({ db, blobs }: ServiceContext, versions: StagedItem['versions']) {
  if (versions.length === 0) return
  const keys = versions.map(({ blob }) => blob.id)
  const rows = await db.selectFrom('blobs').select('id').where('id', 'in', keys).execute()
  const known = new Set(rows.map(({ id }) => id))
  for (const key of keys) if (!known.has(key)) await blobs.remove(key).catch(() => {})
}
