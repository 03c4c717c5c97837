import { createHmac, timingSafeEqual } from 'node:crypto'

/** A secret that signs URLs and cursors. Its id goes with each signature; the key of the first versions has none ('' here). */
export type SigningKey = {
  id: string
  secret: string
  /** Milliseconds since 1970: all processes know the key by then, and the newest active key signs. */
  activeFrom: number
}

/** The keys of an installation, as one process knows them. */
export type SigningKeys = {
  /** The key that signs now. */
  current: () => SigningKey
  /** The key with this id, also where another one signs now. */
  find: (id: string) => SigningKey | undefined
  /** Takes the place of all keys known so far; throws where there is none. */
  replace: (keys: readonly SigningKey[]) => void
}

/** What a signature is for; one made for a purpose never fits another. */
export type Purpose = 'upload' | 'put' | 'download' | 'share' | 'archive' | 'sync'

/** A signature as regular expressions see it, with the first `length` characters of its MAC. */
export const signaturePattern = (length = MAC_LENGTH) => `(?:k[0-9a-f]{8}\\.)?[\\w-]{${length}}`

/** HMAC-SHA256 as base64url. */
const MAC_LENGTH = 43

/** Signing keys that can be replaced while they are used. `now` is the clock that activates them. */
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
 * Signs `text` for `purpose` with the current key: the key's id, a dot, and the first `length` characters of the HMAC-SHA256. The key
 * of the first versions has no id, and no dot either.
 */
export const sign = (keys: SigningKeys, purpose: Purpose, text: string, length = MAC_LENGTH) =>
  signWith(keys.current(), purpose, text, length)

/** Whether `signature` is sign's, with any key of the installation; the time it takes does not tell how much of it is right. */
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

function isEqual(given: string, right: string) {
  const [a, b] = [Buffer.from(given), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}
