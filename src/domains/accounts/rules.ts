import { hash, randomBytes } from 'node:crypto'
import { type ApiScope, apiScopes } from '../../scope.ts'

/** A new API token: 256 random bits behind a prefix that secret scanners can learn. */
export const newSecret = () => `hld_${randomBytes(32).toString('base64url')}`

/** What is stored of a secret. Tokens are random, so one round of SHA-256 is enough. */
export const hashSecret = (secret: string) => hash('sha256', secret)

/** For people to tell tokens apart; an ADMIN_TOKEN may be short, and most of it stays unsaid. */
export const secretPrefix = (secret: string) =>
  secret.slice(0, Math.min(8, Math.floor(secret.length / 4)))

export const parseScopes = (text: string): ApiScope[] =>
  text.split(' ').flatMap((word) => apiScopes.find((scope) => scope === word) ?? [])

export const formatScopes = (scopes: readonly ApiScope[]) => [...new Set(scopes)].sort().join(' ')
