import { v7 } from 'uuid'

const prefixes = [
  'ws',
  'fld',
  'file',
  'ver',
  'upl',
  'tag',
  'tok',
  'usr',
  'shr',
  'evt',
  'sev',
  'job',
] as const
export type IdPrefix = (typeof prefixes)[number]

const ID = /^([a-z]+)_[0-9a-f]{32}$/

/**
 * Returns a new id with a type prefix: `file_0199…`. It is a UUIDv7 (RFC 9562), so that ids sort by creation
 * time.
 */
export const newId = (prefix: IdPrefix) => `${prefix}_${v7().replaceAll('-', '')}`

/** Returns the type prefix of an id, or null if `id` is malformed. */
export function idPrefix(id: string): IdPrefix | null {
  const prefix = ID.exec(id)?.[1]
  return prefixes.find((known) => known === prefix) ?? null
}
