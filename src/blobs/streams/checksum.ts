import { createHash } from 'node:crypto'

/** The algorithms listed in Tus-Checksum-Algorithm; tus requires at least sha1. */
export const checksumAlgorithms = ['sha1', 'sha256', 'md5'] as const
type ChecksumAlgorithm = (typeof checksumAlgorithms)[number]
export type Checksum = { algorithm: ChecksumAlgorithm; digest: Buffer }

const digestBytes: Record<ChecksumAlgorithm, number> = { sha1: 20, sha256: 32, md5: 16 }

/**
 * Parses an Upload-Checksum header such as `sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`: the algorithm, one space, the
 * digest in Base64. Returns null if the algorithm is not supported, and a digest of null, which no bytes
 * match, if the rest is not a digest of the algorithm.
 */
export function parseChecksum(
  header: string,
): Checksum | { algorithm: ChecksumAlgorithm; digest: null } | null {
  const [name, base64 = '', ...rest] = header.split(' ')
  const algorithm = checksumAlgorithms.find((known) => known === name)
  if (!algorithm) return null
  const digest = Buffer.from(base64, 'base64')
  // Buffer.from ignores invalid characters, so the digest is encoded again and compared.
  const isDigest = digest.length === digestBytes[algorithm] && digest.toString('base64') === base64
  return { algorithm, digest: isDigest && rest.length === 0 ? digest : null }
}

/** Verifies a stream of bytes against `checksum`. */
export function createChecksumVerifier({ algorithm, digest }: Checksum) {
  const hash = createHash(algorithm)
  return {
    update: (chunk: Uint8Array) => void hash.update(chunk),
    /** Returns null if the bytes match, else both digests in hex. */
    mismatch() {
      const actual = hash.digest()
      if (actual.equals(digest)) return null
      return { expected: digest.toString('hex'), actual: actual.toString('hex') }
    },
  }
}
