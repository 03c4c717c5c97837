import type { PartUploader, UploadedSegment } from '../multipart/part-uploader.ts'
import type { Stores } from '../multipart/put-parts.ts'
import type { Staged } from '../multipart-state.ts'
import { removeIncompleteParts } from './incomplete-parts.ts'
import { staleWriter } from './truncate.ts'

/** Writes down in the ledger what has arrived in the bucket, and takes away the tails that are of no use any more. */
export function createStateWriter(
  stores: Stores,
  { key, turn }: Staged,
  { sent, tailsMade }: PartUploader,
) {
  const removals: Promise<unknown>[] = []
  /** Tails whose bytes are in a part; an offset before its end still needs them. */
  let replaced: { end: number; names: string[] }[] = []
  let droppable: string[] = []
  const recorded = new Set<string>()

  return {
    /** What has arrived without a gap since the last time: its last piece, or undefined. */
    async record(): Promise<UploadedSegment | undefined> {
      sent.throwIfFailed()
      const pieces = sent.takeFinished()
      const last = pieces.at(-1)
      if (!last) return
      const merged = pieces.filter((piece) => 'tail' in piece).flatMap(({ from }) => from)
      const dropTails = [...droppable, ...names(merged)]
      droppable = []
      const change = { ...written(pieces), length: last.end, dropTails }
      if (!(await stores.ledger.write(key, turn, change))) throw staleWriter(key)
      for (const { name } of change.tails) recorded.add(name)
      removals.push(removeIncompleteParts(stores, key, dropTails))
      replaced.push(...pieces.filter((piece) => 'part' in piece).map(inPart))
      return last
    },
    committed(offset: number) {
      droppable.push(...replaced.filter(({ end }) => end <= offset).flatMap(({ names }) => names))
      replaced = replaced.filter(({ end }) => end > offset)
    },
    /** Tails that were not written down go; what stays behind here, the sweeper takes. */
    abandon: () =>
      removeIncompleteParts(
        stores,
        key,
        tailsMade().filter((name) => !recorded.has(name)),
      ),
    removed: () => Promise.all(removals),
  }
}

const names = (tails: { name: string }[]) => tails.map(({ name }) => name)

const inPart = ({ end, from }: UploadedSegment) => ({ end, names: names(from) })

function written(pieces: UploadedSegment[]) {
  const parts = pieces.flatMap((piece) => ('part' in piece ? [piece] : []))
  const inParts = parts.at(-1)?.end
  const whole = pieces.flatMap((piece) => ('whole' in piece ? [piece.whole] : [])).at(-1)
  return {
    parts: parts.map(({ part }) => part),
    tails: pieces.flatMap((piece) => ('tail' in piece ? [piece.tail] : [])),
    ...(inParts !== undefined && { inParts }),
    ...(whole !== undefined && { whole }),
  }
}
