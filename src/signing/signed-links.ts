import { DomainError } from '../errors.ts'
import {
  isSignature,
  type Purpose,
  type SigningKeys,
  sign,
  signaturePattern,
} from './signing-keys.ts'

/** 132 bits, for what stands behind an id in a URL. */
const SHORT = 22

/** A signed id as regular expressions see it: 32 hexadecimal digits, and a signature that cannot be guessed. */
export const signedIdPattern = `([0-9a-f]{32})\\.(${signaturePattern(SHORT)})`

/** The part of an upload's URL that cannot be guessed. */
export const signUploadId = (keys: SigningKeys, uploadId: string) =>
  sign(keys, 'upload', uploadId, SHORT)

/** The part that cannot be guessed of the URL that takes a whole body from its holder. */
export const signPutId = (keys: SigningKeys, uploadId: string) => sign(keys, 'put', uploadId, SHORT)

/** The part of a share's URL that cannot be guessed. */
export const signShareId = (keys: SigningKeys, shareLinkId: string) =>
  sign(keys, 'share', shareLinkId, SHORT)

/** Whether `signature` is the one of this id for this purpose. */
export const isIdSignature = (keys: SigningKeys, purpose: Purpose, id: string, signature: string) =>
  isSignature(keys, purpose, id, signature, SHORT)

/** A download that its holder may do: GET or HEAD of one version until `expiresAt` (milliseconds since 1970). */
export type Link = {
  versionId: string
  disposition: 'attachment' | 'inline'
  expiresAt: number
  /** With which token it was made: it gives what that may read; without one, and without a share, what everybody may. */
  tokenId?: string | undefined
  /** Through which share it was made: it ends with the share. */
  shareLinkId?: string | undefined
}

/** Made by nobody here, or changed on the way: 403. */
export class LinkInvalid extends DomainError {
  readonly code = 'URL_INVALID'
  constructor() {
    super('this link was not made here, or has been changed')
  }
}

/** It was good until then: 403. */
export class LinkExpired extends DomainError {
  readonly code = 'URL_EXPIRED'
  constructor(expiredAt: number) {
    super(`this link expired at ${new Date(expiredAt).toISOString()}`)
  }
}

const SIGNED = `\\.(?<signature>${signaturePattern()})$`
const LINK = new RegExp(
  `^(?<versionId>[a-z]+_[0-9a-f]{32})\\.(?<disposition>attachment|inline)\\.(?<expiresAt>\\d{1,15})(?:\\.(?<tokenId>tok_[0-9a-f]{32}))?(?:\\.(?<shareLinkId>shr_[0-9a-f]{32}))?${SIGNED}`,
)

/** One token that says and signs everything, safe in a URL: `ver_0199….attachment.1767225600000.<signature>`. */
export function signLink(keys: SigningKeys, link: Link) {
  const text = textOfLink(link)
  return `${text}.${sign(keys, 'download', `GET,HEAD ${text}`)}`
}

const textOfLink = ({ versionId, disposition, expiresAt, tokenId, shareLinkId }: Link) =>
  [versionId, disposition, expiresAt, tokenId ?? [], shareLinkId ?? []].flat().join('.')

/** The whole link. The name at its end is for people and their programs; the token alone says what is given. */
export const downloadUrl = (
  { publicUrl, signingKeys }: { publicUrl: string; signingKeys: SigningKeys },
  link: Link,
  fileName: string,
) => `${publicUrl}/download/${signLink(signingKeys, link)}/${encodeURIComponent(fileName)}`

/** What a token of signLink allows at `now` (milliseconds since 1970); throws LinkInvalid, or LinkExpired for one that was good. */
export function readLink(keys: SigningKeys, token: string, now: number): Link {
  const { link, signature } = parse(token)
  // Worded anew, so that no second spelling of a link is good.
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

/** The archive of a folder that its holder may download until `expiresAt` (milliseconds since 1970); `tokenId` as in Link. */
export type ArchiveLink = { folderId: string; expiresAt: number; tokenId?: string | undefined }

const ARCHIVE_LINK = new RegExp(
  `^(?<folderId>fld_[0-9a-f]{32})\\.(?<expiresAt>\\d{1,15})(?:\\.(?<tokenId>tok_[0-9a-f]{32}))?${SIGNED}`,
)

/** One token that says and signs everything, as signLink's does. */
export function signArchive(keys: SigningKeys, link: ArchiveLink) {
  const text = textOfArchive(link)
  return `${text}.${sign(keys, 'archive', text)}`
}

const textOfArchive = ({ folderId, expiresAt, tokenId }: ArchiveLink) =>
  [folderId, expiresAt, tokenId ?? []].flat().join('.')

/** What a token of signArchive allows at `now`; throws LinkInvalid, or LinkExpired for one that was good. */
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
