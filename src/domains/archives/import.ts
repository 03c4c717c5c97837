import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { newId } from '../../database/ids.ts'
import type { NameConflictMode } from '../../database/tables.ts'
import {
  ChecksumMismatch,
  FileTooLarge,
  InvalidState,
  NotFound,
  QuotaExceeded,
} from '../../errors.ts'
import { inTransaction, type Scope } from '../../scope.ts'
import { inField } from '../entries/fields.ts'
import { type EntryRef, type EntryRow, requireLiveFolder } from '../entries/reads.ts'
import { checkEntryPath } from '../entries/rules.ts'
import { claimName, toWrite } from '../entries/writes.ts'
import { detectMediaType } from '../files/media.ts'
import { requireVersion } from '../files/reads.ts'
import { usageOf } from '../folders/reads.ts'
import { requireOwnUpload } from '../uploads/reads.ts'
import { type ImportItem, importItems } from './import-items.ts'
import { plant, type StagedItem } from './plant.ts'
import { openSpool, type Spool } from './spool.ts'
import { openZip, type Zip } from './zip-reader.ts'
import { refuse } from './zip-records.ts'

type Importing = { uploadId: string; destination: EntryRef; onConflict: NameConflictMode }

/**
 * Rebuilds the tree of an archive under `destination`: of one that was made here with descriptions, tags, metadata and versions,
 * of any other ZIP the plain tree. First all bytes, each file checked, then all rows in one transaction: the whole tree is there,
 * or nothing of it. The memory does not grow with the archive but for two numbers a member. The viewer's own, confirmed upload;
 * EDITOR, scope FILES_WRITE. Throws NotFound, Forbidden, InvalidInput, InvalidState, NameConflict, QuotaExceeded, FileTooLarge,
 * ChecksumMismatch, StorageFault.
 */
export async function importArchive(
  scope: Scope,
  { uploadId, destination, onConflict }: Importing,
): Promise<{ folder: EntryRow; entryCount: number }> {
  const { db, viewer, blobs } = scope
  const version = await inField('uploadId', confirmedVersion(scope, uploadId))
  const { entry: folder } = await inField(
    'destination',
    requireLiveFolder(db, viewer, destination, toWrite),
  )
  const zip = await openZip(blobs, { id: version.blobId, size: version.size })
  await refuseTooMuch(scope, folder, zip)
  await refuseImpossible(scope, { zip, folder, onConflict })
  const dir = await mkdtemp(join(tmpdir(), 'holdall-import-'))
  await using opened = new AsyncDisposableStack()
  opened.defer(() => rm(dir, { recursive: true, force: true }))
  const staged = opened.use(await openSpool(join(dir, 'staged')))
  try {
    await stageAll(scope, zip, staged)
    await staged.flush()
    return await inTransaction(scope, async (s) => {
      const { entry } = await requireLiveFolder(s.tx, s.viewer, { id: folder.id }, toWrite)
      return plant(s, { items: staged.lines<StagedItem>(), destination: entry, onConflict })
    })
  } catch (error) {
    await removeAll(scope, staged)
    throw error
  }
}

async function confirmedVersion({ db, viewer }: Scope, uploadId: string) {
  const { status, versionId } = await requireOwnUpload(db, viewer, uploadId)
  if (status !== 'COMPLETE') throw new InvalidState(status, 'the upload is not confirmed')
  const { version } = await requireVersion(db, viewer, versionId ?? '', {
    scope: 'FILES_READ',
  }).catch((error) => {
    throw error instanceof NotFound
      ? new NotFound(uploadId, 'the archive is not there any more')
      : error
  })
  return version
}

async function refuseTooMuch({ db }: Scope, { workspaceId }: EntryRow, zip: Zip) {
  const { remainingBytes } = await usageOf(db, { id: workspaceId })
  if (remainingBytes !== null && zip.bytes > remainingBytes)
    throw new QuotaExceeded({ workspaceId, neededBytes: zip.bytes })
}

/** Reads all that the archive says of itself, and the names that it brings into the folder, before a byte is copied. */
async function refuseImpossible(
  scope: Scope,
  { zip, folder, onConflict }: { zip: Zip; folder: EntryRow; onConflict: NameConflictMode },
) {
  const seen = new Set<string>()
  for await (const { path } of importItems(zip)) {
    const [top] = checkEntryPath(path)
    if (!top || onConflict !== 'FAIL' || seen.has(top.nameKey)) continue
    seen.add(top.nameKey)
    await inTransaction(scope, (s) => claimName(s, folder, top, 'FAIL'))
  }
}

/** A disk is waited for by several entries at a time: making small files durable is nothing but waiting. */
const AT_ONCE = 8

async function stageAll(scope: Scope, zip: Zip, staged: Spool) {
  const line: Promise<StagedItem>[] = []
  const put = async (item: StagedItem | undefined) => {
    if (item) await staged.write(`${JSON.stringify(item)}\n`)
  }
  try {
    for await (const item of importItems(zip)) {
      const staging = stage(scope, zip, item)
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
  scope: Scope,
  zip: Zip,
  { versions, ...item }: ImportItem,
): Promise<StagedItem> {
  const staged: StagedItem['versions'] = []
  try {
    for (const version of versions) staged.push(await stageVersion(scope, zip, item.path, version))
  } catch (error) {
    await removeBytes(scope, staged)
    throw error
  }
  return { ...item, versions: staged }
}

async function stageVersion(
  { blobs, limits }: Scope,
  zip: Zip,
  path: string,
  { member, sha256: announced, number, comment }: ImportItem['versions'][number],
): Promise<StagedItem['versions'][number]> {
  if (member.size > limits.maxUploadBytes)
    throw new FileTooLarge(limits.maxUploadBytes).at('uploadId')
  const key = newId('upl')
  try {
    await blobs.stage(key)
    const sha256 = await copy(zip, member, (bytes) => blobs.append(key, 0, bytes))
    if (announced !== null && announced !== sha256)
      throw new ChecksumMismatch({ expected: announced, actual: sha256 }).at('uploadId', path)
    const media = await detectMediaType(
      await blobs.peek(key, HEAD_BYTES),
      path.split('/').at(-1) ?? '',
    )
    await blobs.adopt(key)
    return { ...media, blob: { id: key, size: member.size, sha256 }, number, comment }
  } catch (error) {
    await Promise.allSettled([blobs.discard(key), blobs.remove(key)])
    throw error
  }
}

/** So many of the first bytes tell the media type. */
const HEAD_BYTES = 4100

/** A store that writes keeps what came before its source broke: why it broke is told here. */
async function copy(
  zip: Zip,
  member: Parameters<Zip['open']>[0],
  write: (bytes: Readable) => Promise<number>,
) {
  const hash = createHash('sha256')
  let broken: unknown
  async function* hashed() {
    try {
      for await (const chunk of zip.open(member)) {
        hash.update(chunk)
        yield chunk
      }
    } catch (error) {
      broken = error
      throw error
    }
  }
  const length = await write(Readable.from(hashed(), { objectMode: false })).catch((error) => {
    throw broken ?? error
  })
  if (broken) throw broken
  if (length !== member.size) throw refuse(`${JSON.stringify(member.name)} came short`)
  return hash.digest('hex')
}

async function removeAll(scope: Scope, staged: Spool) {
  await staged.flush()
  for await (const { versions } of staged.lines<StagedItem>()) await removeBytes(scope, versions)
}

/** What stays behind here the sweeper takes. */
async function removeBytes({ blobs }: Scope, versions: StagedItem['versions']) {
  for (const { blob } of versions) await blobs.remove(blob.id).catch(() => {})
}
