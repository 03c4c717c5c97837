import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { StartupError } from '../config/startup-error.ts'
import { fsyncDirectory } from '../fsync.ts'

/** File names in the directory of a backup. Only a finished backup has a manifest. */
const names = { manifest: 'manifest.json', blobs: 'blobs.jsonl', bytes: 'blobs' }
export const rowsName = { sqlite: 'holdall.db', postgres: 'holdall.dump' }

const part = z.object({ file: z.string(), size: z.number(), sha256: z.string() })
const schema = z.object({
  format: z.literal(1),
  createdAt: z.string(),
  database: z.enum(['sqlite', 'postgres']),
  rows: part,
  /** A JSON Lines file with the id, size and sha256 of each blob. */
  blobs: part.extend({ count: z.number(), bytes: z.number() }),
  /** Whether the backup includes the bytes of the blobs; otherwise they are still in the bucket. */
  hasBytes: z.boolean(),
  /** Ids of blobs whose bytes were missing in the store. */
  missing: z.array(z.string()),
})
export type Manifest = z.infer<typeof schema>
export type Part = z.infer<typeof part>

export const blobsListPath = (dir: string) => join(dir, names.blobs)
export const bytesPath = (dir: string) => join(dir, names.bytes)

/**
 * Writes the manifest, durably and as the last file: if it exists, all files that it lists are complete and
 * durable.
 */
export async function writeManifest(dir: string, manifest: Manifest): Promise<void> {
  const path = join(dir, names.manifest)
  const file = await open(`${path}.partial`, 'wx')
  try {
    await file.writeFile(`${JSON.stringify(manifest, null, 2)}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await fsyncDirectory(dir)
  await rename(`${path}.partial`, path)
  await fsyncDirectory(dir)
}

/** Reads the manifest. Throws StartupError if it is missing, unreadable or of an unknown format. */
export async function readManifest(dir: string): Promise<Manifest> {
  const text = await readFile(join(dir, names.manifest), 'utf8').catch((error) => {
    throw new StartupError(
      `${dir} is not a finished backup: ${names.manifest} cannot be read (${error.code}).`,
    )
  })
  const read = schema.safeParse(parseJson(text))
  if (read.success) return read.data
  throw new StartupError(
    `${dir}/${names.manifest} has a format that this version of Holdall does not support.`,
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Returns the size in bytes and the sha256 (hex) of a file of the backup. */
export async function describePart(dir: string, file: string): Promise<Part> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of createReadStream(join(dir, file))) {
    hash.update(chunk)
    size += chunk.length
  }
  return { file, size, sha256: hash.digest('hex') }
}

/**
 * Returns the path of a file of the backup. Throws StartupError if its size or hash differs from the
 * manifest.
 */
export async function requirePart(dir: string, { file, size, sha256 }: Part): Promise<string> {
  if (file !== names.blobs && !Object.values(rowsName).includes(file))
    throw new StartupError(
      `The manifest of ${dir} lists an unexpected file: ${JSON.stringify(file)}.`,
    )
  const found = await describePart(dir, file).catch((error) => {
    throw new StartupError(`${join(dir, file)} cannot be read (${error.code}).`)
  })
  if (found.size === size && found.sha256 === sha256) return join(dir, file)
  throw new StartupError(`${join(dir, file)} has changed since the backup was made.`)
}
