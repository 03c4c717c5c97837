import { createHash } from 'node:crypto'

/** As Tus-Checksum-Algorithm lists them; tus wants sha1 at least. */
export const checksumAlgorithms = ['sha1', 'sha256', 'md5'] as const
type ChecksumAlgorithm = (typeof checksumAlgorithms)[number]
export type Checksum = { algorithm: ChecksumAlgorithm; digest: Buffer }

const digestBytes: Record<ChecksumAlgorithm, number> = { sha1: 20, sha256: 32, md5: 16 }

/**
 * Reads an Upload-Checksum header, `sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`: the algorithm, one space, the digest in Base64.
 * Null where it is anything else, or an algorithm that is not offered (tus: both are 400).
 */
export function parseChecksum(header: string): Checksum | null {
  const [name, base64, ...rest] = header.split(' ')
  const algorithm = checksumAlgorithms.find((known) => known === name)
  if (!algorithm || !base64 || rest.length > 0) return null
  const digest = Buffer.from(base64, 'base64')
  // Buffer.from skips what is not Base64; written again it must be the same.
  const sound = digest.length === digestBytes[algorithm] && digest.toString('base64') === base64
  return sound ? { algorithm, digest } : null
}

/** A running check of bytes against `checksum`. */
export function checking({ algorithm, digest }: Checksum) {
  const hash = createHash(algorithm)
  return {
    update: (chunk: Uint8Array) => void hash.update(chunk),
    /** Null where the bytes are right, else both digests in hex. */
    verdict() {
      const actual = hash.digest()
      if (actual.equals(digest)) return null
      return { expected: digest.toString('hex'), actual: actual.toString('hex') }
    },
  }
}
