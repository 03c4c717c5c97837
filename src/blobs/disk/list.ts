import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseKey } from '../key.ts'
import { nullIfMissing, wrapIoError } from './errors.ts'

/** Every blob in `folder` or below; one that goes while we look is not there, and what is not a blob is not ours. */
export async function* blobsBelow(folder: string) {
  const entries = await opendir(folder, { recursive: true }).catch(
    wrapIoError('blobs cannot be listed'),
  )
  for await (const { name, parentPath } of entries) {
    const key = parseKey(name)
    if (!key) continue
    const file = await stat(join(parentPath, name)).catch(nullIfMissing)
    if (file?.isFile()) yield { key, size: file.size, modifiedAt: Math.floor(file.mtimeMs) }
  }
}
