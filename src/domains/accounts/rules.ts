import { hash, randomBytes } from 'node:crypto'
import { type ApiScope, apiScopes } from '../../context.ts'
import { InvalidInput } from '../../errors/input.ts'
import { describeUnsafeCharacter, isSafeName, MAX_MARK_RUN } from '../../names.ts'

/**
 * Throws InvalidInput if the name of a user or token is empty, has more than 200 characters, or contains
 * characters that can make it look like another name (see isSafeName).
 */
export function checkName(name: string) {
  if (name.trim() === '' || name.length > 200) {
    throw new InvalidInput({ path: ['name'], message: '1 to 200 characters' })
  }
  if (isSafeName(name)) return
  const unsafe = describeUnsafeCharacter(name)
  const message = unsafe
    ? `name contains ${unsafe}`
    : `at most ${MAX_MARK_RUN} combining marks in a row`
  throw new InvalidInput({ path: ['name'], message })
}

/** Returns the secret of a new API token: 256 random bits after a prefix that secret scanners recognise. */
export const newSecret = () => `hld_${randomBytes(32).toString('base64url')}`

/** Returns the stored hash of a secret. Secrets are random, so one round of SHA-256 is enough. */
export const hashSecret = (secret: string) => hash('sha256', secret)

/** Returns the first characters of a generated secret, which help people to distinguish their tokens. */
export const secretPrefix = (secret: string) => secret.slice(0, 8)

/** Parses stored scopes, separated by spaces. Unknown scopes are ignored. */
export const parseScopes = (text: string): ApiScope[] =>
  text.split(' ').flatMap((word) => apiScopes.find((scope) => scope === word) ?? [])

/** Formats scopes for storage: sorted, without duplicates, separated by spaces. */
export const formatScopes = (scopes: readonly ApiScope[]) => [...new Set(scopes)].sort().join(' ')
