import { createHmac, timingSafeEqual } from 'node:crypto'

/**
 * A secret that signs URLs and cursors. Signatures contain its id. The key of the first versions has the id
 * '' and signatures without an id.
 */
export type SigningKey = {
  id: string
  secret: string
  /** When all processes know the key, in milliseconds since 1970. The newest active key signs. */
  activeFrom: number
}

/** The keys of the installation that this process has loaded. */
export type SigningKeys = {
  /** Returns the key that signs now. */
  current: () => SigningKey
  /** Returns the key with this id, whether it signs now or not. */
  find: (id: string) => SigningKey | undefined
  /** Replaces all loaded keys; throws if `keys` is empty. */
  replace: (keys: readonly SigningKey[]) => void
}

/** What a signature is for: it is invalid for any other purpose. */
export type Purpose = 'upload' | 'put' | 'download' | 'share' | 'archive' | 'sync'

/** Returns the regular expression source for a signature with the first `length` characters of its MAC. */
export const signaturePattern = (length = MAC_LENGTH) => `(?:k[0-9a-f]{8}\\.)?[\\w-]{${length}}`

/** Length of an HMAC-SHA256 as base64url. */
const MAC_LENGTH = 43

/** Creates a set of signing keys that can be replaced at runtime. Keys become active by the clock `now`. */
export function createSigningKeys(keys: readonly SigningKey[], now: () => number): SigningKeys {
  let newestFirst: SigningKey[] = []
  const signing: SigningKeys = {
    current() {
      const key = newestFirst.find(({ activeFrom }) => activeFrom <= now()) ?? newestFirst.at(-1)
      if (!key) throw new Error('there is no signing key')
      return key
    },
    find: (id) => newestFirst.find((key) => key.id === id),
    replace(keys) {
      if (keys.length === 0) throw new Error('there is no signing key')
      newestFirst = keys.toSorted((a, b) => b.activeFrom - a.activeFrom)
    },
  }
  signing.replace(keys)
  return signing
}

/**
 * Signs `text` for `purpose` with the current key. The signature is the key's id, a dot and the first
 * `length` characters of the HMAC-SHA256; for the key of the first versions it is the MAC only.
 */
export const sign = (keys: SigningKeys, purpose: Purpose, text: string, length = MAC_LENGTH) =>
  signWith(keys.current(), purpose, text, length)

/** Whether `signature` is valid for `text` with any key of the installation, compared in constant time. */
export function isSignature(
  keys: SigningKeys,
  purpose: Purpose,
  text: string,
  signature: string,
  length = MAC_LENGTH,
): boolean {
  const key = keys.find(signature.slice(0, -length).slice(0, -1))
  return key !== undefined && isEqual(signature, signWith(key, purpose, text, length))
}

function signWith({ id, secret }: SigningKey, purpose: Purpose, text: string, length: number) {
  const mac = createHmac('sha256', secret).update(`${purpose}:${text}`).digest('base64url')
  return `${id && `${id}.`}${mac.slice(0, length)}`
}

function isEqual(given: string, expected: string) {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
