import { SyncCursorExpired } from '../../errors/input.ts'
import {
  isSignature,
  type SigningKeys,
  sign,
  signaturePattern,
} from '../../signing/signing-keys.ts'

/** Position of a client in the change log of a workspace. A SyncCursor encodes it. */
export type SyncPosition = {
  /** The client has received everything up to this event. */
  seq: number
  /**
   * Number of the last event for which a moved folder is sent with its whole subtree, because the subtree may
   * contain entries that a scan skipped or that the client has dropped.
   */
  resendUntil: number
  /** The scan that is in progress at event `seq`, or null. */
  scan: Scan | null
}
/** A scan of the whole workspace, or of the folder of event `seq`; `at` is null before the first entry. */
export type Scan = { of: 'workspace' | 'event'; at: ScanPosition | null }
/**
 * A position after a folder and, with `file`, after that file in the folder. `mark` is a hash of the path
 * that the folder had then.
 */
export type ScanPosition = {
  folderId: string
  mark: string
  file: { createdAt: number; id: string } | null
}

/** The groups are seq, resendUntil, kind of the scan, folder, mark, and creation time and id of a file. */
const POSITION =
  /^(\d{1,16})(?:\.(\d{1,16})(?:\.([we])(?:\.([0-9a-f]{32})\.([\w-]{8})(?:\.(\d{1,16})\.([0-9a-f]{32}))?)?)?)?$/

/** Number of base64url characters of the signature: 96 bits. */
const MAC_LENGTH = 16
const SIGNED = new RegExp(`^([^]*?)\\.(${signaturePattern(MAC_LENGTH)})$`)

/**
 * Encodes a position as an opaque cursor, which is valid in its workspace only. Equal positions have equal
 * cursors.
 */
export function encodeSyncCursor(
  keys: SigningKeys,
  workspaceId: string,
  position: Partial<SyncPosition> & { seq: number },
): string {
  const text = formatPosition(position)
  const signature = sign(keys, 'sync', `${workspaceId} ${text}`, MAC_LENGTH)
  return Buffer.from(`${text}.${signature}`).toString('base64url')
}

function formatPosition({
  seq,
  resendUntil = 0,
  scan = null,
}: Partial<SyncPosition> & { seq: number }): string {
  const resend = scan || resendUntil > seq ? [resendUntil] : []
  return [seq, ...resend, ...(scan ? formatScan(scan) : [])].join('.')
}

function formatScan({ of, at }: Scan): (string | number)[] {
  const kind = of === 'workspace' ? 'w' : 'e'
  if (!at) return [kind]
  const file = at.file ? [at.file.createdAt, at.file.id.slice('file_'.length)] : []
  return [kind, at.folderId.slice('fld_'.length), at.mark, ...file]
}

/** Decodes a cursor. Throws SyncCursorExpired if encodeSyncCursor did not create it for this workspace. */
export function decodeSyncCursor(
  keys: SigningKeys,
  workspaceId: string,
  cursor: string,
): SyncPosition {
  const bytes = Buffer.from(cursor, 'base64url')
  const [, text = '', signature = ''] = SIGNED.exec(bytes.toString()) ?? []
  const position = parsePosition(text)
  // Format the position again and compare, so that each position has exactly one valid cursor.
  const isCanonical =
    position && formatPosition(position) === text && bytes.toString('base64url') === cursor
  if (isCanonical && isSignature(keys, 'sync', `${workspaceId} ${text}`, signature, MAC_LENGTH))
    return position
  throw new SyncCursorExpired()
}

function parsePosition(text: string): SyncPosition | null {
  const [, seq, resendUntil = 0, kind, ...at] = POSITION.exec(text) ?? []
  if (!seq) return null
  const of = kind === 'w' ? 'workspace' : 'event'
  const scan: Scan | null = kind ? { of, at: parseScanPosition(at) } : null
  return { seq: Number(seq), resendUntil: Number(resendUntil), scan }
}

function parseScanPosition(parts: (string | undefined)[]): ScanPosition | null {
  const [folder, mark, createdAt, file] = parts
  if (!folder || !mark) return null
  const lastFile = file ? { createdAt: Number(createdAt), id: `file_${file}` } : null
  return { folderId: `fld_${folder}`, mark, file: lastFile }
}
