import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { apiScopes } from '../../src/context.ts'
import {
  formatScopes,
  hashSecret,
  newSecret,
  parseScopes,
  secretPrefix,
} from '../../src/domains/accounts/rules.ts'

const scopes = fc.array(fc.constantFrom(...apiScopes))
/** The valid forms of ADMIN_TOKEN. */
const adminToken = fc.stringMatching(/^[\w.~+/-]{20,200}$/)

describe('a secret', () => {
  test('is new each time, has 256 random bits and needs no encoding in a header', () => {
    const secrets = Array.from({ length: 1000 }, newSecret)
    expect(new Set(secrets).size).toBe(1000)
    for (const secret of secrets) expect(secret).toMatch(/^hld_[\w-]{43}$/)
  })

  test('is stored as its SHA-256', () => {
    // printf hld_known | sha256sum
    expect(hashSecret('hld_known')).toBe(
      '0045eb5519c3d58fbc34e791965aa8b562556aa91df1bf884976452faf6b80ad',
    )
  })

  test('has another hash if one character differs', () => {
    fc.assert(
      fc.property(adminToken, fc.nat(), (secret, at) => {
        const i = at % secret.length
        const other = secret[i] === 'a' ? 'b' : 'a'
        const near = secret.slice(0, i) + other + secret.slice(i + 1)
        expect(hashSecret(near)).not.toBe(hashSecret(secret))
      }),
    )
  })

  test('is displayed by its first characters', () => {
    expect(secretPrefix(newSecret())).toMatch(/^hld_[\w-]{4}$/)
  })
})

describe('scopes', () => {
  test('are read from their row unchanged, without duplicates', () => {
    fc.assert(
      fc.property(scopes, (given) => {
        expect(parseScopes(formatScopes(given))).toEqual([...new Set(given)].sort())
      }),
    )
  })

  test('are stored in the same order, however they were given', () => {
    fc.assert(
      fc.property(scopes, (given) => {
        expect(formatScopes(given.toReversed())).toBe(formatScopes(given))
        expect(formatScopes(parseScopes(formatScopes(given)))).toBe(formatScopes(given))
      }),
    )
  })

  test('are rejected if they are unknown', () => {
    fc.assert(
      fc.property(fc.string(), (word) => {
        const text = `FILES_READ ${word.replaceAll(/\S*_\S*/g, '')} files_write *`
        expect(parseScopes(text)).toEqual(['FILES_READ'])
      }),
    )
    expect(parseScopes('')).toEqual([])
  })
})
