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
  'mbr',
  'use',
  'tbl',
  'row',
] as const
export type IdPrefix = (typeof prefixes)[number]

const ID = /^([a-z]+)_[0-9a-f]{32}$/
/** Id of an object without one of its own: the workspace, and the key of the object in it. */
const ID_IN_WORKSPACE = /^([a-z]{3})_([0-9a-f]{32})\.([\w.-]{0,400})$/

/**
 * Returns a new id with a type prefix: `file_0199…`. It is a UUIDv7 (RFC 9562), so that ids sort by creation
 * time.
 */
export const newId = (prefix: IdPrefix) => `${prefix}_${v7().replaceAll('-', '')}`

/** Returns the type prefix of an id, or null if `id` is malformed. */
export function idPrefix(id: string): IdPrefix | null {
  const [, prefix] = ID.exec(id) ?? ID_IN_WORKSPACE.exec(id) ?? []
  return prefixes.find((known) => known === prefix) ?? null
}

/**
 * Returns the id of an object that is identified by a workspace and a key in it. The key may consist of
 * letters, digits and . _ -
 */
export const idInWorkspace = (prefix: IdPrefix, workspaceId: string, key: string) =>
  `${prefix}_${workspaceId.replace('ws_', '')}.${key}`

/** Returns the workspace and the key of such an id, or null if `id` is malformed. */
export function parseIdInWorkspace(id: string): { workspaceId: string; key: string } | null {
  const [, , workspace, key] = ID_IN_WORKSPACE.exec(id) ?? []
  return workspace === undefined || key === undefined
    ? null
    : { workspaceId: `ws_${workspace}`, key }
}
