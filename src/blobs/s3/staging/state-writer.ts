import type { PartUploader, UploadedSegment } from '../multipart/part-uploader.ts'
import type { Stores } from '../multipart/put-parts.ts'
import type { Staged } from '../multipart-state.ts'
import { removeIncompleteParts } from './incomplete-parts.ts'
import { staleWriter } from './truncate.ts'

/**
 * Records in the database what the bucket has stored, and deletes incomplete parts that are no longer needed.
 */
export function createStateWriter(
  stores: Stores,
  { key, fencingToken }: Staged,
  { sent, incompletePartNames }: PartUploader,
) {
  const removals: Promise<unknown>[] = []
  /** Incomplete parts whose bytes are now in a part. An offset before `end` still needs them. */
  let replaced: { end: number; names: string[] }[] = []
  let obsolete: string[] = []
  const recorded = new Set<string>()

  return {
    /** Records what was stored without a gap since the last call; returns the last segment, or undefined. */
    async record(): Promise<UploadedSegment | undefined> {
      sent.throwIfFailed()
      const segments = sent.takeFinished()
      const last = segments.at(-1)
      if (!last) return
      const absorbed = segments
        .filter((segment) => 'incompletePart' in segment)
        .flatMap(({ from }) => from)
      const removedIncompleteParts = [...obsolete, ...names(absorbed)]
      obsolete = []
      const change = { ...toChange(segments), length: last.end, removedIncompleteParts }
      if (!(await stores.multipartStore.write(key, fencingToken, change))) throw staleWriter(key)
      for (const { name } of change.incompleteParts) recorded.add(name)
      removals.push(removeIncompleteParts(stores, key, removedIncompleteParts))
      replaced.push(...segments.filter((segment) => 'part' in segment).map(toReplaced))
      return last
    },
    /**
     * Marks incomplete parts that no offset from `offset` on needs, so that the next `record` deletes them.
     */
    committed(offset: number) {
      obsolete.push(...replaced.filter(({ end }) => end <= offset).flatMap(({ names }) => names))
      replaced = replaced.filter(({ end }) => end > offset)
    },
    /** Deletes incomplete parts that were not recorded; the sweeper deletes those for which this fails. */
    abandon: () =>
      removeIncompleteParts(
        stores,
        key,
        incompletePartNames().filter((name) => !recorded.has(name)),
      ),
    removed: () => Promise.all(removals),
  }
}

const names = (incompleteParts: { name: string }[]) => incompleteParts.map(({ name }) => name)

const toReplaced = ({ end, from }: UploadedSegment) => ({ end, names: names(from) })

function toChange(segments: UploadedSegment[]) {
  const parts = segments.flatMap((segment) => ('part' in segment ? [segment] : []))
  const inParts = parts.at(-1)?.end
  const whole = segments.flatMap((segment) => ('whole' in segment ? [segment.whole] : [])).at(-1)
  return {
    parts: parts.map(({ part }) => part),
    incompleteParts: segments.flatMap((segment) =>
      'incompletePart' in segment ? [segment.incompletePart] : [],
    ),
    ...(inParts !== undefined && { inParts }),
    ...(whole !== undefined && { whole }),
  }
}
