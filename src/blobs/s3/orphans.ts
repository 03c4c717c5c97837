import {
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2Output,
} from '@aws-sdk/client-s3'
import { parseKey } from '../key.ts'
import type { Bucket } from './api/bucket.ts'
import { wrapBucketError } from './api/errors.ts'
import type { Stores } from './multipart/put-parts.ts'

type Found = { name: string; size: number; modifiedAt: number }

/** Yields all objects below `prefix`, page by page. */
async function* objects({ client, name: Bucket }: Bucket, prefix: string) {
  let token: string | undefined
  do {
    const page: ListObjectsV2Output = await client
      .send(new ListObjectsV2Command({ Bucket, Prefix: prefix, ContinuationToken: token }))
      .catch(wrapBucketError('objects could not be listed'))
    yield (page.Contents ?? []).map(
      ({ Key = '', Size = 0, LastModified }): Found => ({
        name: Key,
        size: Size,
        modifiedAt: LastModified?.getTime() ?? 0,
      }),
    )
    token = page.NextContinuationToken
  } while (token)
}

/** Yields all open multipart uploads of the bucket, or those of the object `name`. */
async function* multiparts({ client, name: Bucket }: Bucket, name?: string) {
  let at: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {}
  for (;;) {
    // MinIO matches only whole names as a prefix here, but lists everything without one.
    const request = { Bucket, ...at, ...(name !== undefined && { Prefix: name }) }
    const page = await client
      .send(new ListMultipartUploadsCommand(request))
      .catch(wrapBucketError('multipart uploads could not be listed'))
    yield (page.Uploads ?? []).map(({ Key = '', UploadId = '', Initiated }) => ({
      name: Key,
      multipartId: UploadId,
      modifiedAt: Initiated?.getTime() ?? 0,
    }))
    if (!page.IsTruncated) return
    at = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
  }
}

/**
 * Aborts the multipart uploads and deletes the incomplete parts of a staged key, including those that no row
 * records.
 */
export async function deleteOrphans({ bucket, objectKeys }: Stores, key: string) {
  for await (const found of multiparts(bucket, objectKeys.kept(key))) {
    for (const { name, multipartId } of found) {
      if (name === objectKeys.kept(key)) await bucket.abort(name, multipartId)
    }
  }
  for await (const found of objects(bucket, objectKeys.incompletePartsOf(key))) {
    await Promise.all(found.map(({ name }) => bucket.remove(name)))
  }
}

type Listed = { key: string; size: number; modifiedAt: number }

/**
 * Yields staged keys: those with a row, then those of multipart uploads and incomplete parts that a crash
 * left without a row.
 */
export async function* listStaged(stores: Stores): AsyncGenerator<Listed> {
  const { bucket, objectKeys, multipartStore } = stores
  yield* multipartStore.list()
  const isOurs = ({ name }: { name: string }) => name.startsWith(objectKeys.folders.kept)
  for await (const found of multiparts(bucket)) {
    yield* await unknownKeys(
      stores,
      found.filter(isOurs).map(({ name, modifiedAt }) => ({ name, modifiedAt, size: 0 })),
      fileName,
    )
  }
  for await (const found of objects(bucket, objectKeys.folders.incompleteParts)) {
    yield* await unknownKeys(stores, found, (name) =>
      name.slice(objectKeys.folders.incompleteParts.length).replace(/\/.*/s, ''),
    )
  }
}

/** Yields committed keys, without those that are still staged. */
export async function* listCommitted(stores: Stores): AsyncGenerator<Listed> {
  const { bucket, objectKeys } = stores
  for await (const found of objects(bucket, objectKeys.folders.kept)) {
    yield* await unknownKeys(stores, found, fileName)
  }
}

const fileName = (name: string) => name.slice(name.lastIndexOf('/') + 1)

/** Returns the objects whose key has no row. Objects whose name is not a key are skipped. */
async function unknownKeys(
  { multipartStore }: Stores,
  found: Found[],
  toKey: (name: string) => string,
): Promise<Listed[]> {
  const named = found.flatMap(({ name, ...about }) => {
    const key = parseKey(toKey(name))
    return key ? [{ key, ...about }] : []
  })
  const known = await multipartStore.known(named.map(({ key }) => key))
  return named.filter(({ key }) => !known.has(key))
}
