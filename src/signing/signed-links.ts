import { LinkExpired, LinkInvalid } from '../errors/access.ts'
import {
  isSignature,
  type Purpose,
  type SigningKeys,
  sign,
  signaturePattern,
} from './signing-keys.ts'

/** Length of the signature that follows an id in a URL: 132 bits in base64url. */
const SHORT_MAC_CHARACTERS = 22

/** Regular expression source for a signed id: 32 hexadecimal digits, a dot and the signature. */
export const signedIdPattern = `([0-9a-f]{32})\\.(${signaturePattern(SHORT_MAC_CHARACTERS)})`

/** Returns the signature in the tus URL of an upload. */
export const signUploadId = (keys: SigningKeys, uploadId: string) =>
  sign(keys, 'upload', uploadId, SHORT_MAC_CHARACTERS)

/** Returns the signature in the signed PUT URL of an upload. */
export const signPutId = (keys: SigningKeys, uploadId: string) =>
  sign(keys, 'put', uploadId, SHORT_MAC_CHARACTERS)

/** Returns the signature in the URL of a share link. */
export const signShareId = (keys: SigningKeys, shareLinkId: string) =>
  sign(keys, 'share', shareLinkId, SHORT_MAC_CHARACTERS)

/** Whether `signature` is valid for this id and purpose. */
export const isIdSignature = (keys: SigningKeys, purpose: Purpose, id: string, signature: string) =>
  isSignature(keys, purpose, id, signature, SHORT_MAC_CHARACTERS)

/**
 * A signed download link: permits GET and HEAD of one version until `expiresAt` (milliseconds since 1970).
 */
export type Link = {
  versionId: string
  disposition: 'attachment' | 'inline'
  expiresAt: number
  /**
   * The token that created the link and limits what it permits. A link without token and share link permits
   * only public files.
   */
  tokenId?: string | undefined
  /** The share link that created the link: the link becomes invalid with it. */
  shareLinkId?: string | undefined
}

const SIGNED = `\\.(?<signature>${signaturePattern()})$`
const LINK = new RegExp(
  `^(?<versionId>[a-z]+_[0-9a-f]{32})\\.(?<disposition>attachment|inline)\\.(?<expiresAt>\\d{1,15})(?:\\.(?<tokenId>tok_[0-9a-f]{32}))?(?:\\.(?<shareLinkId>shr_[0-9a-f]{32}))?${SIGNED}`,
)

/** Lifetime of a link for which the client sets none. */
export const LINK_TTL_MS = 3_600_000

/** Returns the link as a URL-safe signed token: `ver_0199….attachment.1767225600000.<signature>`. */
export function signLink(keys: SigningKeys, link: Link) {
  const text = textOfLink(link)
  return `${text}.${sign(keys, 'download', `GET,HEAD ${text}`)}`
}

const textOfLink = ({ versionId, disposition, expiresAt, tokenId, shareLinkId }: Link) =>
  [versionId, disposition, expiresAt, tokenId ?? [], shareLinkId ?? []].flat().join('.')

/** Returns the download URL. The file name at its end is informational and not signed. */
export const downloadUrl = (
  { publicUrl, signingKeys }: { publicUrl: string; signingKeys: SigningKeys },
  link: Link,
  fileName: string,
) => `${publicUrl}/download/${signLink(signingKeys, link)}/${encodeURIComponent(fileName)}`

/**
 * Parses and verifies a token of signLink at `now` (milliseconds since 1970). Throws LinkInvalid or
 * LinkExpired.
 */
export function readLink(keys: SigningKeys, token: string, now: number): Link {
  const { link, signature } = parse(token)
  // Serialized again, so that only the canonical form of a link is valid.
  const text = textOfLink(link)
  if (
    token !== `${text}.${signature}` ||
    !isSignature(keys, 'download', `GET,HEAD ${text}`, signature)
  )
    throw new LinkInvalid()
  if (link.expiresAt <= now) throw new LinkExpired(link.expiresAt)
  return link
}

function parse(token: string): { link: Link; signature: string } {
  const { versionId, disposition, expiresAt, signature, ...by } = LINK.exec(token)?.groups ?? {}
  if (!versionId || !disposition || !expiresAt || !signature) throw new LinkInvalid()
  const link: Link = {
    versionId,
    disposition: disposition === 'inline' ? 'inline' : 'attachment',
    expiresAt: Number(expiresAt),
    ...(by.tokenId && { tokenId: by.tokenId }),
    ...(by.shareLinkId && { shareLinkId: by.shareLinkId }),
  }
  return { link, signature }
}

/**
 * Permits downloading a folder as an archive until `expiresAt` (milliseconds since 1970); `tokenId` as in
 * Link.
 */
export type ArchiveLink = { folderId: string; expiresAt: number; tokenId?: string | undefined }

const ARCHIVE_LINK = new RegExp(
  `^(?<folderId>fld_[0-9a-f]{32})\\.(?<expiresAt>\\d{1,15})(?:\\.(?<tokenId>tok_[0-9a-f]{32}))?${SIGNED}`,
)

/** Returns the archive link as a URL-safe signed token. */
export function signArchive(keys: SigningKeys, link: ArchiveLink) {
  const text = textOfArchive(link)
  return `${text}.${sign(keys, 'archive', text)}`
}

const textOfArchive = ({ folderId, expiresAt, tokenId }: ArchiveLink) =>
  [folderId, expiresAt, tokenId ?? []].flat().join('.')

/**
 * Parses and verifies a token of signArchive at `now` (milliseconds since 1970). Throws LinkInvalid or
 * LinkExpired.
 */
export function readArchiveLink(keys: SigningKeys, token: string, now: number): ArchiveLink {
  const { folderId, expiresAt, tokenId, signature } = ARCHIVE_LINK.exec(token)?.groups ?? {}
  if (!folderId || !expiresAt || !signature) throw new LinkInvalid()
  const link = { folderId, expiresAt: Number(expiresAt), ...(tokenId && { tokenId }) }
  const text = textOfArchive(link)
  if (token !== `${text}.${signature}` || !isSignature(keys, 'archive', text, signature))
    throw new LinkInvalid()
  if (link.expiresAt <= now) throw new LinkExpired(link.expiresAt)
  return link
}
