import { type Entry, identified, type World } from './model-state.ts'
import type { Seen, SeenEntry } from './server-snapshot.ts'

type Known = Set<string | null>

/** Tells the world the ids of what it made, as they are seen. */
export function bind(world: World, seen: Seen) {
  const known: Known = new Set(identified(world).map(({ id }) => id))
  const entries = [...seen.living, ...seen.trashed]
  for (const entry of world.entries.values())
    claimId(known, entry, entries, (one) => isSeenAs(world, entry, one))
  for (const { id, versions } of world.entries.values()) {
    const there = entries.find((one) => one.id === id)?.versions?.nodes ?? []
    for (const version of versions)
      claimId(known, version, there, ({ number }) => number === version.number)
  }
  for (const tag of world.tags.values())
    claimId(
      known,
      tag,
      seen.tags,
      (one) => one.name === tag.name && one.workspace === tag.workspace,
    )
  for (const upload of world.uploads.values())
    claimId(known, upload, seen.uploads, ({ name }) => name === upload.name)
  for (const share of world.shares.values()) {
    const entryId = world.entries.get(share.entry)?.id
    claimId(known, share, seen.shares, ({ entry }) => entry.id === entryId)
  }
}

function claimId<Seen extends { id: string }>(
  known: Known,
  thing: { id: string | null },
  seen: readonly Seen[],
  isIt: (one: Seen) => boolean,
) {
  thing.id ??= seen.find((one) => !known.has(one.id) && isIt(one))?.id ?? null
  known.add(thing.id)
}

/** By its name in its folder, which the world knows, being elder; what was itself put in the trash by where it was. */
function isSeenAs(world: World, { parent, name, trashed }: Entry, one: SeenEntry): boolean {
  if (parent === null) return one.parent === null && one.path === trashed?.path
  return one.parent?.id === world.entries.get(parent)?.id && one.name === name
}

/** Whether the ids of all that it has are known. */
export const isBound = (world: World) => identified(world).every(({ id }) => id !== null)
