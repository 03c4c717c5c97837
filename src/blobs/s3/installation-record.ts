import type { StoreRecord, StoreRecordFile } from '../blob-store.ts'
import { formatRecord, parseRecord, RECORD_NAME } from '../installation-record.ts'
import type { Bucket, Condition } from './api/bucket.ts'
import { nullIfExists, wrapBucketError } from './api/errors.ts'

/**
 * Reads and writes the record of a bucket store: an object below the prefix. Conditional writes resolve races
 * between processes.
 */
export function s3Record(bucket: Bucket, prefix: string): StoreRecordFile {
  const name = `${prefix}${RECORD_NAME}`
  const fault = wrapBucketError(`${name} could not be read or written`)

  async function put(record: StoreRecord, condition: Condition) {
    const bytes = Buffer.from(formatRecord(record))
    return (await bucket.put(name, bytes, condition).catch(nullIfExists).catch(fault)) !== null
  }

  return {
    async read() {
      // The ETag is read first: a write between the two reads then fails the condition of the next write.
      const head = await bucket.head(name).catch(fault)
      if (!head) return null
      const body = await bucket.get(name).catch(fault)
      if (!body) return null
      const text = Buffer.concat(await body.toArray().catch(fault)).toString()
      return { record: parseRecord(text, name), version: head.etag }
    },
    create: (record) => put(record, { IfNoneMatch: '*' }),
    replace: (record, version) => put(record, { IfMatch: version }),
  }
}
