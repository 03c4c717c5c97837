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

/** Every object below `prefix`, by pages. */
async function* objects({ client, name: Bucket }: Bucket, prefix: string) {
  let token: string | undefined
  do {
    const page: ListObjectsV2Output = await client
      .send(new ListObjectsV2Command({ Bucket, Prefix: prefix, ContinuationToken: token }))
      .catch(wrapBucketError('objects cannot be listed'))
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

/** Every multipart upload that is open, below `prefix`; that of one name where `name` says which. */
async function* multiparts({ client, name: Bucket }: Bucket, name?: string) {
  let at: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {}
  for (;;) {
    // MinIO lists below no prefix that is not a whole name, but does without one.
    const asked = { Bucket, ...at, ...(name !== undefined && { Prefix: name }) }
    const page = await client
      .send(new ListMultipartUploadsCommand(asked))
      .catch(wrapBucketError('multipart uploads cannot be listed'))
    yield (page.Uploads ?? []).map(({ Key = '', UploadId = '', Initiated }) => ({
      name: Key,
      multipartId: UploadId,
      modifiedAt: Initiated?.getTime() ?? 0,
    }))
    if (!page.IsTruncated) return
    at = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
  }
}

/** Aborts and removes whatever the bucket holds of a key that is not, or no longer, to be kept: also what no ledger knows. */
export async function deleteOrphans({ bucket, places }: Stores, key: string) {
  for await (const found of multiparts(bucket, places.kept(key))) {
    for (const { name, multipartId } of found) {
      if (name === places.kept(key)) await bucket.abort(name, multipartId)
    }
  }
  for await (const found of objects(bucket, places.tailsOf(key))) {
    await Promise.all(found.map(({ name }) => bucket.remove(name)))
  }
}

type Listed = { key: string; size: number; modifiedAt: number }

/** Keys that are staged: those of the ledger, then what a crash left in the bucket and no ledger knows. */
export async function* listStaged(stores: Stores): AsyncGenerator<Listed> {
  const { bucket, places, ledger } = stores
  yield* ledger.list()
  const ours = ({ name }: { name: string }) => name.startsWith(places.folders.kept)
  for await (const found of multiparts(bucket)) {
    yield* await unknownKeys(
      stores,
      found.filter(ours).map(({ name, modifiedAt }) => ({ name, modifiedAt, size: 0 })),
      (name) => name.split('/').at(-1),
    )
  }
  for await (const found of objects(bucket, places.folders.tails)) {
    yield* await unknownKeys(
      stores,
      found,
      (name) => name.slice(places.folders.tails.length).split('/')[0],
    )
  }
}

/** Keys that are kept, and nothing that is only on its way there. */
export async function* listKept(stores: Stores): AsyncGenerator<Listed> {
  const { bucket, places } = stores
  for await (const found of objects(bucket, places.folders.kept)) {
    yield* await unknownKeys(stores, found, (name) => name.split('/').at(-1))
  }
}

/** Those of which the ledger knows nothing; what is no key is not ours. */
async function unknownKeys(
  { ledger }: Stores,
  found: Found[],
  keyIn: (name: string) => string | undefined,
): Promise<Listed[]> {
  const named = found.flatMap(({ name, ...about }) => {
    const key = parseKey(keyIn(name) ?? '')
    return key ? [{ key, ...about }] : []
  })
  const known = await ledger.known(named.map(({ key }) => key))
  return named.filter(({ key }) => !known.has(key))
}
