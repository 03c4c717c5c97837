import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'

/**
 * Takes 32 MiB and about 60 ms per attempt. OWASP recommends more work for scrypt (N = 2^17, p = 1, or N =
 * 2^15, p = 3). Guessing over HTTP is limited by locks (see opening.ts).
 */
const cost = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }
const KEY_BYTES = 32

/** Hashes a password with scrypt. Returns `<salt>.<key>`, both base64url. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const key = await derive(password, salt)
  return `${salt.toString('base64url')}.${key.toString('base64url')}`
}

/** Returns whether `password` matches `hash`. Compares in constant time. */
export async function isPassword(password: string, hash: string): Promise<boolean> {
  const [salt = '', key = ''] = hash.split('.')
  const derived = await derive(password, Buffer.from(salt, 'base64url'))
  return timingSafeEqual(derived, Buffer.from(key, 'base64url'))
}

/**
 * Derives a key off the main thread. Normalises the password to NFC, so that it matches when typed on
 * different systems.
 */
const derive = (password: string, salt: Buffer) =>
  new Promise<Buffer>((resolve, reject) => {
    scrypt(password.normalize('NFC'), salt, KEY_BYTES, cost, (error, key) =>
      error ? reject(error) : resolve(key),
    )
  })
