import type { StoreRecord } from './blob-store.ts'

/** The name of the record in the root of a store. */
export const RECORD_NAME = 'installation.json'

/** Throws an Error with a sentence where `text` is no record. Fields of later versions are ignored. */
export function parseRecord(text: string, where: string): StoreRecord {
  const found = parsed(text)
  const { installation, number, stamp } = found ?? {}
  if (typeof installation !== 'string' || typeof number !== 'number' || typeof stamp !== 'string')
    throw new Error(`${where} is not a record of Holdall; restore it from a backup, or remove it`)
  return { installation, number, stamp }
}

export const formatRecord = (record: StoreRecord) => `${JSON.stringify(record)}\n`

function parsed(text: string): Partial<Record<keyof StoreRecord, unknown>> | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
