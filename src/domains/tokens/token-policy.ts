import { type FieldPolicy, restrict } from '../../graphql/field-policy.ts'
import type { TokenRow } from '../accounts/reads.ts'

const hidden = () => null

/**
 * The user is the actor of the event, whom it names anyway. Fields that cannot be null are empty; whatever is not listed is
 * NotFound.
 */
const sight: FieldPolicy = {
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

/** A token as it is shown to viewers who see what it did, and who may not manage it. */
export const seenByOthers = (token: TokenRow): TokenRow => restrict(sight, token)

/** What descriptions of fields say of it. */
export const HIDDEN_FROM_OTHERS =
  'Unless you may manage it, its prefix and scopes are empty, and expiresAt, lastUsedAt, issuer and workspace are null.'
