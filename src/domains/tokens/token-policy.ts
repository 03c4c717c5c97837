import { type FieldPolicy, restrict } from '../../graphql/field-policy.ts'
import type { TokenRow } from '../accounts/reads.ts'

const hidden = () => null

/**
 * The user is visible, because the event names its actor anyway. Hidden fields are null, or empty if they
 * cannot be null. Any other field throws NotFound.
 */
const policy: FieldPolicy = {
  ApiToken: {
    id: 'plain',
    name: 'plain',
    user: 'plain',
    createdAt: 'plain',
    prefix: () => '',
    scopes: () => [],
    expiresAt: hidden,
    lastUsedAt: hidden,
    issuer: hidden,
    workspace: hidden,
  },
}

/**
 * Returns a token with restricted fields, for viewers who see what was done with it but may not manage it.
 */
export const restrictForOthers = (token: TokenRow): TokenRow => restrict(policy, token)

/** Text for descriptions of fields that return a restricted token. */
export const HIDDEN_FROM_OTHERS =
  'If the viewer may not manage it, its prefix and scopes are empty, and expiresAt, lastUsedAt, issuer and workspace are null.'
