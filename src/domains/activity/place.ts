import { sign } from '../../blobs/signed-links.ts'
import { SyncCursorExpired } from '../../errors.ts'

/** How far a client has been told what happens in a workspace: what a SyncCursor stands for. */
export type Place = {
  /** All that happened up to this event. */
  seq: number
  /**
   * Up to this event a folder that moves is told with all it holds: it may hold what was passed over while a walk was under
   * way, or what a client has dropped.
   */
  owedUntil: number
  /** What is being told beside event `seq`, while it is not at its end. */
  walk: Walk | null
}
/** Through the whole workspace, or through the folder of event `seq`. */
export type Walk = { of: 'workspace' | 'event'; at: Step | null }
/** Behind this folder, as its path was then (`mark`), and behind this one of its files. */
export type Step = {
  folderId: string
  mark: string
  file: { createdAt: number; id: string } | null
}

const TEXT =
  /^(\d{1,16})(?:\.(\d{1,16})(?:\.([we])(?:\.([0-9a-f]{32})\.([\w-]{8})(?:\.(\d{1,16})\.([0-9a-f]{32}))?)?)?)?$/

/** The cursor of a place: opaque, good in its workspace alone, and the same for the same place. */
export function writeCursor(
  secret: string,
  workspaceId: string,
  { seq, owedUntil = 0, walk = null }: Partial<Place> & { seq: number },
): string {
  const owed = walk || owedUntil > seq ? [owedUntil] : []
  const text = [seq, ...owed, ...(walk ? walked(walk) : [])].join('.')
  const mac = sign(secret, 'sync', `${workspaceId} ${text}`).slice(0, 16)
  return Buffer.from(`${text}.${mac}`).toString('base64url')
}

function walked({ of, at }: Walk): (string | number)[] {
  const way = of === 'workspace' ? 'w' : 'e'
  if (!at) return [way]
  const file = at.file ? [at.file.createdAt, at.file.id.slice('file_'.length)] : []
  return [way, at.folderId.slice('fld_'.length), at.mark, ...file]
}

/** The place that a cursor stands for; SyncCursorExpired for whatever writeCursor has not written for this workspace. */
export function readCursor(secret: string, workspaceId: string, cursor: string): Place {
  const text = Buffer.from(cursor, 'base64url').toString()
  const place = placeIn(text.slice(0, text.lastIndexOf('.')))
  // Written anew and compared as a whole, so that no second spelling of a place is good.
  if (place && writeCursor(secret, workspaceId, place) === cursor) return place
  throw new SyncCursorExpired()
}

function placeIn(text: string): Place | null {
  const [, seq, owedUntil = 0, way, ...at] = TEXT.exec(text) ?? []
  if (!seq) return null
  const of = way === 'w' ? 'workspace' : 'event'
  const walk: Walk | null = way ? { of, at: stepIn(at) } : null
  return { seq: Number(seq), owedUntil: Number(owedUntil), walk }
}

function stepIn([folder, mark, createdAt, file]: (string | undefined)[]): Step | null {
  if (!folder || !mark) return null
  const behind = file ? { createdAt: Number(createdAt), id: `file_${file}` } : null
  return { folderId: `fld_${folder}`, mark, file: behind }
}
