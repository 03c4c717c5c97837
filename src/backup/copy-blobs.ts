import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { link, mkdir, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { BlobStore } from '../blobs/blob-store.ts'
import { isMissing } from '../blobs/disk/errors.ts'
import { diskPaths } from '../blobs/disk/paths.ts'
import { type Damage, damageOf, openOrNull } from '../blobs/verify.ts'
import type { BlobsConfig } from '../config.ts'
import type { BlobEntry } from '../database/snapshot.ts'
import { fsyncDirectory } from '../fsync.ts'

/** Puts a blob into the backup; says what is wrong with the bytes that the store has, and null where nothing is. */
export type BlobCopier = {
  copy: (blob: BlobEntry) => Promise<Damage | null>
  /** Makes all names durable; the bytes are so already. */
  sync: () => Promise<void>
}

/** Into a folder laid out as the store of a disk is. On the same file system the bytes are linked: they never change in place. */
export function blobCopier(config: BlobsConfig, store: BlobStore, dir: string): BlobCopier {
  const target = diskPaths(dir)
  const source = config.kind === 'disk' ? diskPaths(config.dir) : null
  const folders = new Set([dirname(dir), dir, target.folders.kept])
  return {
    async copy(blob) {
      const path = target.kept(blob.id)
      const folder = dirname(path)
      await mkdir(folder, { recursive: true })
      folders.add(folder).add(dirname(folder))
      const linked = source && (await linkTo(source.kept(blob.id), path, blob.size))
      return linked ? linked.flaw : copyTo(store, path, blob)
    },
    async sync() {
      for (const folder of folders) await fsyncDirectory(folder)
    },
  }
}

const unlinkable = ['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS']

/** Null where this file system, or the two of them, have no hard links. */
async function linkTo(
  from: string,
  to: string,
  size: number,
): Promise<{ flaw: Damage | null } | null> {
  try {
    await link(from, to)
  } catch (error) {
    if (isMissing(error)) return { flaw: 'MISSING' }
    if (unlinkable.includes((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
  const found = await stat(to)
  return { flaw: found.size < size ? 'TRUNCATED' : found.size > size ? 'CHANGED' : null }
}

async function copyTo(store: BlobStore, path: string, blob: BlobEntry): Promise<Damage | null> {
  const bytes = await openOrNull(store, blob.id, blob.size)
  if (!bytes) return 'MISSING'
  const hash = createHash('sha256')
  let size = 0
  const hashing = new Transform({
    transform(chunk, _, done) {
      hash.update(chunk)
      size += chunk.length
      done(null, chunk)
    },
  })
  await pipeline(bytes, hashing, createWriteStream(path, { flags: 'wx', mode: 0o600, flush: true }))
  const flaw = damageOf(blob, { size, sha256: hash.digest('hex') })
  if (flaw) await rm(path)
  return flaw
}
