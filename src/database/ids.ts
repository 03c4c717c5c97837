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

/** A new id, typed for people: `file_0199…`. UUIDv7 (RFC 9562), so that ids made later sort later. */
export const newId = (prefix: IdPrefix) => `${prefix}_${v7().replaceAll('-', '')}`

/** What an id says it is, or null where it has not the form of an id. */
export function idPrefix(id: string): IdPrefix | null {
  const prefix = ID.exec(id)?.[1]
  return prefixes.find((known) => known === prefix) ?? null
}
