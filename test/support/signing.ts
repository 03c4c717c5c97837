import { createSigningKeys, type SigningKeys } from '../../src/signing/signing-keys.ts'

/** Returns the signing keys of an installation with one key. */
export const keysOf = (secret: string, id = 'k0123abcd'): SigningKeys =>
  createSigningKeys([{ id, secret, activeFrom: 0 }], Date.now)
