import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { StartupError } from '../config.ts'
import { fsyncDirectory } from '../fsync.ts'

/** What a backup consists of, in its folder. Only a finished one has a manifest. */
const names = { manifest: 'manifest.json', blobs: 'blobs.jsonl', bytes: 'blobs' }
export const rowsName = { sqlite: 'holdall.db', postgres: 'holdall.dump' }

const part = z.object({ file: z.string(), size: z.number(), sha256: z.string() })
const schema = z.object({
  format: z.literal(1),
  createdAt: z.string(),
  database: z.enum(['sqlite', 'postgres']),
  rows: part,
  /** A line of JSON for each blob: id, size, sha256. */
  blobs: part.extend({ count: z.number(), bytes: z.number() }),
  /** Whether their bytes are in the backup; else they are where they were, in the bucket. */
  hasBytes: z.boolean(),
  /** Blobs whose bytes the store did not have. */
  missing: z.array(z.string()),
})
export type Manifest = z.infer<typeof schema>
export type Part = z.infer<typeof part>

export const blobsListPath = (dir: string) => join(dir, names.blobs)
export const bytesPath = (dir: string) => join(dir, names.bytes)

/** The last thing that is written: under its name it is whole and durable, and so is all that it names. */
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

/** Throws StartupError where there is none, or one of another version. */
export async function readManifest(dir: string): Promise<Manifest> {
  const text = await readFile(join(dir, names.manifest), 'utf8').catch((error) => {
    throw new StartupError(
      `${dir} is no finished backup: it has no ${names.manifest} that can be read (${error.code}).`,
    )
  })
  const read = schema.safeParse(parsed(text))
  if (read.success) return read.data
  throw new StartupError(`${dir}/${names.manifest} is not one that this version of Holdall knows.`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Size and sha256 of a file of the backup. */
export async function describePart(dir: string, file: string): Promise<Part> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of createReadStream(join(dir, file))) {
    hash.update(chunk)
    size += chunk.length
  }
  return { file, size, sha256: hash.digest('hex') }
}

/** Throws StartupError unless the file is what the manifest says. */
export async function requirePart(dir: string, { file, size, sha256 }: Part): Promise<string> {
  if (file !== names.blobs && !Object.values(rowsName).includes(file))
    throw new StartupError(`${dir} names a file that is not its own: ${JSON.stringify(file)}.`)
  const found = await describePart(dir, file).catch((error) => {
    throw new StartupError(`${join(dir, file)} cannot be read (${error.code}).`)
  })
  if (found.size === size && found.sha256 === sha256) return join(dir, file)
  throw new StartupError(`${join(dir, file)} has changed since the backup was made.`)
}
