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
import type { BlobsConfig } from '../config/config.ts'
import type { BlobEntry } from '../database/snapshot/contents.ts'
import { fsyncDirectory } from '../fsync.ts'

/** Copies blobs into a backup. `copy` returns the damage of the stored bytes, or null if they are intact. */
export type BlobCopier = {
  copy: (blob: BlobEntry) => Promise<Damage | null>
  /** Syncs the directories, so that the names survive a power loss; the bytes are synced by `copy`. */
  sync: () => Promise<void>
}

/**
 * Copies blobs into a directory with the layout of a disk store. On the same file system it creates hard
 * links, because committed bytes never change in place.
 */
export function blobCopier(config: BlobsConfig, store: BlobStore, dir: string): BlobCopier {
  const target = diskPaths(dir)
  const source = config.kind === 'disk' ? diskPaths(config.dir) : null
  const directories = new Set([dirname(dir), dir, target.folders.kept])
  return {
    async copy(blob) {
      const path = target.kept(blob.id)
      const directory = dirname(path)
      await mkdir(directory, { recursive: true })
      directories.add(directory).add(dirname(directory))
      const linked = source && (await linkTo(source.kept(blob.id), path, blob.size))
      return linked ? linked.damage : copyTo(store, path, blob)
    },
    async sync() {
      for (const directory of directories) await fsyncDirectory(directory)
    },
  }
}

const linkErrors: (string | undefined)[] = ['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'ENOSYS']

/**
 * Creates a hard link and returns the damage that the size of the file reveals. Returns null if hard links
 * are not possible here.
 */
async function linkTo(
  from: string,
  to: string,
  size: number,
): Promise<{ damage: Damage | null } | null> {
  try {
    await link(from, to)
  } catch (error) {
    if (isMissing(error)) return { damage: 'MISSING' }
    if (linkErrors.includes((error as NodeJS.ErrnoException).code)) return null
    throw error
  }
  const found = await stat(to)
  return { damage: found.size < size ? 'TRUNCATED' : found.size > size ? 'CHANGED' : null }
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
  const damage = damageOf(blob, { size, sha256: hash.digest('hex') })
  if (damage) await rm(path)
  return damage
}
