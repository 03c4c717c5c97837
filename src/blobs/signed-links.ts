import { createHmac, timingSafeEqual } from 'node:crypto'
import { DomainError } from '../errors.ts'

/** What a signature is for; one made for a purpose never fits another. */
export type Purpose = 'upload' | 'put' | 'download' | 'share' | 'archive' | 'sync'

/** HMAC-SHA256 of `text` under `secret` for `purpose`: 43 characters of base64url. */
export const sign = (secret: string, purpose: Purpose, text: string) =>
  createHmac('sha256', secret).update(`${purpose}:${text}`).digest('base64url')

/** The part of an upload's URL that cannot be guessed: 22 characters, 132 bits. */
export const uploadKeyMac = (secret: string, uploadId: string) =>
  sign(secret, 'upload', uploadId).slice(0, 22)

/** Whether `mac` is uploadKeyMac's, in a time that does not tell how much of it is right. */
export const isUploadKey = (secret: string, uploadId: string, mac: string) =>
  same(mac, uploadKeyMac(secret, uploadId))

/** The same of the URL that takes a whole body from whoever holds it. */
export const putKeyMac = (secret: string, uploadId: string) =>
  sign(secret, 'put', uploadId).slice(0, 22)

/** Whether `mac` is putKeyMac's, in a time that does not tell how much of it is right. */
export const isPutKey = (secret: string, uploadId: string, mac: string) =>
  same(mac, putKeyMac(secret, uploadId))

/** The part of a share's URL that cannot be guessed: 22 characters, 132 bits. */
export const shareKeyMac = (secret: string, shareLinkId: string) =>
  sign(secret, 'share', shareLinkId).slice(0, 22)

/** Whether `mac` is shareKeyMac's, in a time that does not tell how much of it is right. */
export const isShareKey = (secret: string, shareLinkId: string, mac: string) =>
  same(mac, shareKeyMac(secret, shareLinkId))

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

const TOKEN =
  /^(?<versionId>[a-z]+_[0-9a-f]{32})\.(?<disposition>attachment|inline)\.(?<expiresAt>\d{1,15})(?:\.(?<tokenId>tok_[0-9a-f]{32}))?(?:\.(?<shareLinkId>shr_[0-9a-f]{32}))?\.[\w-]{43}$/

/** One token that says and signs everything, safe in a URL: `ver_0199….attachment.1767225600000.<signature>`. */
export function signLink(secret: string, link: Link) {
  const { versionId, disposition, expiresAt, tokenId, shareLinkId } = link
  const said = [versionId, disposition, expiresAt, tokenId ?? [], shareLinkId ?? []]
    .flat()
    .join('.')
  return `${said}.${sign(secret, 'download', `GET,HEAD ${said}`)}`
}

/** The whole link. The name at its end is for people and their programs; the token alone says what is given. */
export const downloadUrl = (
  { publicUrl, secret }: { publicUrl: string; secret: string },
  link: Link,
  fileName: string,
) => `${publicUrl}/download/${signLink(secret, link)}/${encodeURIComponent(fileName)}`

/** What a token of signLink allows at `now` (milliseconds since 1970); throws LinkInvalid, or LinkExpired for one that was good. */
export function readLink(secret: string, token: string, now: number): Link {
  const link = parse(token)
  // Signed anew and compared as a whole, so that no second spelling of a link is good.
  if (!link || !same(token, signLink(secret, link))) throw new LinkInvalid()
  if (link.expiresAt <= now) throw new LinkExpired(link.expiresAt)
  return link
}

function parse(token: string): Link | null {
  const { versionId, disposition, expiresAt, ...by } = TOKEN.exec(token)?.groups ?? {}
  if (!versionId || !disposition || !expiresAt) return null
  return {
    versionId,
    disposition: disposition === 'inline' ? 'inline' : 'attachment',
    expiresAt: Number(expiresAt),
    ...(by.tokenId && { tokenId: by.tokenId }),
    ...(by.shareLinkId && { shareLinkId: by.shareLinkId }),
  }
}

/** The archive of a folder that its holder may download until `expiresAt` (milliseconds since 1970); `tokenId` as in Link. */
export type ArchiveLink = { folderId: string; expiresAt: number; tokenId?: string | undefined }

const ARCHIVE_TOKEN =
  /^(?<folderId>fld_[0-9a-f]{32})\.(?<expiresAt>\d{1,15})(?:\.(?<tokenId>tok_[0-9a-f]{32}))?\.[\w-]{43}$/

/** One token that says and signs everything, as signLink's does. */
export function signArchive(secret: string, { folderId, expiresAt, tokenId }: ArchiveLink) {
  const said = [folderId, expiresAt, tokenId ?? []].flat().join('.')
  return `${said}.${sign(secret, 'archive', said)}`
}

/** What a token of signArchive allows at `now`; throws LinkInvalid, or LinkExpired for one that was good. */
export function readArchiveLink(secret: string, token: string, now: number): ArchiveLink {
  const { folderId, expiresAt, tokenId } = ARCHIVE_TOKEN.exec(token)?.groups ?? {}
  if (!folderId || !expiresAt) throw new LinkInvalid()
  const link = { folderId, expiresAt: Number(expiresAt), ...(tokenId && { tokenId }) }
  if (!same(token, signArchive(secret, link))) throw new LinkInvalid()
  if (link.expiresAt <= now) throw new LinkExpired(link.expiresAt)
  return link
}

function same(given: string, right: string) {
  const [a, b] = [Buffer.from(given), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}
