import { SyncCursorExpired } from '../../errors.ts'
import {
  isSignature,
  type SigningKeys,
  sign,
  signaturePattern,
} from '../../signing/signing-keys.ts'

/** How far a client has been told what happens in a workspace: what a SyncCursor stands for. */
export type SyncPosition = {
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

/** 96 bits. */
const MAC_LENGTH = 16
const SIGNED = new RegExp(`^([^]*?)\\.(${signaturePattern(MAC_LENGTH)})$`)

/** The cursor of a place: opaque, good in its workspace alone, and the same for the same place. */
export function writeCursor(
  keys: SigningKeys,
  workspaceId: string,
  place: Partial<SyncPosition> & { seq: number },
): string {
  const text = textOf(place)
  const signature = sign(keys, 'sync', `${workspaceId} ${text}`, MAC_LENGTH)
  return Buffer.from(`${text}.${signature}`).toString('base64url')
}

function textOf({
  seq,
  owedUntil = 0,
  walk = null,
}: Partial<SyncPosition> & { seq: number }): string {
  const owed = walk || owedUntil > seq ? [owedUntil] : []
  return [seq, ...owed, ...(walk ? walked(walk) : [])].join('.')
}

function walked({ of, at }: Walk): (string | number)[] {
  const way = of === 'workspace' ? 'w' : 'e'
  if (!at) return [way]
  const file = at.file ? [at.file.createdAt, at.file.id.slice('file_'.length)] : []
  return [way, at.folderId.slice('fld_'.length), at.mark, ...file]
}

/** The place that a cursor stands for; SyncCursorExpired for whatever writeCursor has not written for this workspace. */
export function readCursor(keys: SigningKeys, workspaceId: string, cursor: string): SyncPosition {
  const bytes = Buffer.from(cursor, 'base64url')
  const [, text = '', signature = ''] = SIGNED.exec(bytes.toString()) ?? []
  const place = placeIn(text)
  // Worded anew, so that no second spelling of a place is good.
  const isCanonical = place && textOf(place) === text && bytes.toString('base64url') === cursor
  if (isCanonical && isSignature(keys, 'sync', `${workspaceId} ${text}`, signature, MAC_LENGTH))
    return place
  throw new SyncCursorExpired()
}

function placeIn(text: string): SyncPosition | null {
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
