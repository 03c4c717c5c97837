import { createSigningKeys, type SigningKeys } from '../../src/signing/signing-keys.ts'

/** The keys of an installation that has one, made of this text. */
export const keysOf = (secret: string, id = 'k0123abcd'): SigningKeys =>
  createSigningKeys([{ id, secret, activeFrom: 0 }], Date.now)
