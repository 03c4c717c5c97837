import { type Entry, type Model, objectsWithIds } from './model-state.ts'
import type { EntrySnapshot, Snapshot } from './server-snapshot.ts'

type Known = Set<string | null>

/** Assigns the ids of the snapshot to the new objects of the model. */
export function bind(model: Model, snapshot: Snapshot) {
  const known: Known = new Set(objectsWithIds(model).map(({ id }) => id))
  const entries = [...snapshot.living, ...snapshot.trashed]
  for (const entry of model.entries.values())
    claimId(known, entry, entries, (candidate) => matchesSnapshot(model, entry, candidate))
  for (const { id, versions } of model.entries.values()) {
    const snapshotVersions = entries.find((candidate) => candidate.id === id)?.versions?.nodes ?? []
    for (const version of versions)
      claimId(known, version, snapshotVersions, ({ number }) => number === version.number)
  }
  for (const tag of model.tags.values())
    claimId(
      known,
      tag,
      snapshot.tags,
      (candidate) => candidate.name === tag.name && candidate.workspace === tag.workspace,
    )
  for (const upload of model.uploads.values())
    claimId(known, upload, snapshot.uploads, ({ name }) => name === upload.name)
  for (const share of model.shares.values()) {
    const entryId = model.entries.get(share.entry)?.id
    claimId(known, share, snapshot.shares, ({ entry }) => entry.id === entryId)
  }
}

function claimId<Candidate extends { id: string }>(
  known: Known,
  target: { id: string | null },
  candidates: readonly Candidate[],
  isMatch: (candidate: Candidate) => boolean,
) {
  target.id ??=
    candidates.find((candidate) => !known.has(candidate.id) && isMatch(candidate))?.id ?? null
  known.add(target.id)
}

/**
 * Matches an entry by its name and parent, whose id is already known. Matches the root of a trashed subtree
 * by its path.
 */
function matchesSnapshot(
  model: Model,
  { parent, name, trashed }: Entry,
  candidate: EntrySnapshot,
): boolean {
  if (parent === null) return candidate.parent === null && candidate.path === trashed?.path
  return candidate.parent?.id === model.entries.get(parent)?.id && candidate.name === name
}

/** Reports whether all objects of the model have ids. */
export const isBound = (model: Model) => objectsWithIds(model).every(({ id }) => id !== null)
