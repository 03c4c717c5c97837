import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashPassword, isPassword } from '../../src/domains/sharing/passwords.ts'
import { shareIdOf, shareToken } from '../../src/domains/sharing/reads.ts'
import { addressLockMs, checkTerms, lockMs } from '../../src/domains/sharing/rules.ts'
import { keysOf } from '../support/signing.ts'

describe('a share’s password', () => {
  test('matches only its own hash, in any normalization form', async () => {
    const hash = await hashPassword('Grüße')
    expect(await isPassword('Gru\u0308ße', hash)).toBe(true)
    for (const wrong of ['grüße', 'Grüße ', '', 'Grüß'])
      expect(await isPassword(wrong, hash)).toBe(false)
    expect(await hashPassword('Grüße')).not.toBe(hash)
    expect(hash).not.toContain('Grüße')
  })

  test('locks the link longer after each wrong attempt, up to an hour', () => {
    expect([1, 2, 3, 4].map(lockMs)).toEqual([0, 0, 0, 0])
    expect([5, 6, 7].map(lockMs)).toEqual([30_000, 60_000, 120_000])
    fc.assert(
      fc.property(fc.integer({ min: 5, max: 10_000 }), (failures) => {
        expect(lockMs(failures)).toBeLessThanOrEqual(3_600_000)
        expect(lockMs(failures + 1)).toBeGreaterThanOrEqual(lockMs(failures))
      }),
    )
  })
})

test('locks an address after twenty wrong attempts', () => {
  expect([1, 19, 20, 21, 27, 1000].map(addressLockMs)).toEqual([
    ...[0, 0, 30_000, 60_000, 3_600_000, 3_600_000],
  ])
})

describe('a share’s token', () => {
  const id = `shr_${'0123456789abcdef'.repeat(2)}`
  const keys = keysOf('secret')
  const token = shareToken(keys, id)

  test('reveals its id only to the installation that issued it', () => {
    expect(shareIdOf(keys, token)).toBe(id)
    expect(shareIdOf(keysOf('another'), token)).toBe(null)
    // 22 characters of base64url: 132 random bits.
    expect(token).toMatch(/^[0-9a-f]{32}\.k0123abcd\.[\w-]{22}$/)
  })

  test('is rejected if any character is changed, added or removed', () => {
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.stringMatching(/^[\w.-]$/), (at, other) => {
        const spoiled = token.slice(0, at) + other + token.slice(at + 1)
        expect(shareIdOf(keys, spoiled)).toBe(spoiled === token ? id : null)
      }),
    )
    for (const text of ['', id, `${token}A`, token.slice(0, -1), ` ${token}`, `${token}\n`])
      expect(shareIdOf(keys, text)).toBe(null)
  })
})

test('reports all invalid settings at once', () => {
  expect(() => checkTerms({ password: 'x', expiresAt: 2, maxDownloads: 1 }, 1)).not.toThrow()
  expect(() => checkTerms({}, 1)).not.toThrow()
  expect(() => checkTerms({ password: '', expiresAt: 1, maxDownloads: 0 }, 1)).toThrow(
    /password: .*; expiresAt: .*; maxDownloads: /,
  )
})
