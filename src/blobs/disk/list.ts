import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseKey } from '../key.ts'
import { nullIfMissing, wrapIoError } from './errors.ts'

/**
 * Yields all blobs in `folder` and below. Skips files that disappear during the scan, and files whose name is
 * not a key.
 */
export async function* blobsBelow(folder: string) {
  const entries = await opendir(folder, { recursive: true }).catch(
    wrapIoError('the directory of the blobs could not be listed'),
  )
  for await (const { name, parentPath } of entries) {
    const key = parseKey(name)
    if (!key) continue
    const file = await stat(join(parentPath, name)).catch(nullIfMissing)
    if (file?.isFile()) yield { key, size: file.size, modifiedAt: Math.floor(file.mtimeMs) }
  }
}
