import type { StoreRecord } from './blob-store.ts'

/** The name of the record in the root of a store. */
export const RECORD_NAME = 'installation.json'

/**
 * Parses a record and ignores unknown fields of later versions. Throws an Error if `text` is not a record.
 */
export function parseRecord(text: string, where: string): StoreRecord {
  const found = parseJson(text)
  const { installation, number, stamp } = found ?? {}
  if (typeof installation !== 'string' || typeof number !== 'number' || typeof stamp !== 'string')
    throw new Error(
      `${where} is not an installation record of Holdall; restore it from a backup or remove it`,
    )
  return { installation, number, stamp }
}

/** Formats a record as one line of JSON. */
export const formatRecord = (record: StoreRecord) => `${JSON.stringify(record)}\n`

function parseJson(text: string): Partial<Record<keyof StoreRecord, unknown>> | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
