import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checksumAlgorithms, parseChecksum } from '../../src/blobs/checksum.ts'
import {
  isUploadKey,
  type Link,
  LinkExpired,
  LinkInvalid,
  readLink,
  sign,
  signLink,
  uploadKeyMac,
} from '../../src/blobs/signed-links.ts'

const secret = 'a secret of the house'
const hex = fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: 32, maxLength: 32 })
const ids = hex.map((digits) => `ver_${digits.join('')}`)
const links: fc.Arbitrary<Link> = fc.record({
  versionId: ids,
  disposition: fc.constantFrom('attachment', 'inline'),
  expiresAt: fc.integer({ min: 1, max: 4_000_000_000_000 }),
})

describe('a download link', () => {
  test('says before its time is over what it was signed for', () => {
    fc.assert(
      fc.property(links, fc.nat(), (link, early) => {
        const token = signLink(secret, link)
        expect(readLink(secret, token, link.expiresAt - 1 - early)).toEqual(link)
      }),
    )
  })

  test('expires at its moment, and says so', () => {
    fc.assert(
      fc.property(links, fc.nat(), (link, late) => {
        const token = signLink(secret, link)
        expect(() => readLink(secret, token, link.expiresAt + late)).toThrow(LinkExpired)
      }),
    )
  })

  test('goes into a URL as it is', () => {
    fc.assert(
      fc.property(links, (link) => {
        const token = signLink(secret, link)
        expect(encodeURIComponent(token)).toBe(token)
      }),
    )
  })

  test('is refused when any character of it is another', () => {
    const tampered = fc.record({
      link: links,
      at: fc.nat(),
      instead: fc.string({ unit: 'binary' }),
    })
    fc.assert(
      fc.property(tampered, ({ link, at, instead }) => {
        const token = signLink(secret, link)
        const place = at % token.length
        const forged = token.slice(0, place) + instead + token.slice(place + 1)
        fc.pre(forged !== token)
        expect(() => readLink(secret, forged, 0)).toThrow(LinkInvalid)
      }),
      { numRuns: 1_000 },
    )
  })

  test('is refused when any bit of it is turned', () => {
    const token = signLink(secret, {
      versionId: 'ver_0199a2b3c4d570008000000000000001',
      disposition: 'inline',
      expiresAt: 2_000_000_000_000,
    })
    for (let bit = 0; bit < token.length * 8; bit++) {
      const bytes = Buffer.from(token)
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => readLink(secret, bytes.toString('latin1'), 0)).toThrow(LinkInvalid)
    }
  })

  test('is refused when it is cut short or goes on', () => {
    fc.assert(
      fc.property(links, fc.nat(), fc.string({ minLength: 1 }), (link, at, more) => {
        const token = signLink(secret, link)
        expect(() => readLink(secret, token.slice(0, at % token.length), 0)).toThrow(LinkInvalid)
        expect(() => readLink(secret, token + more, 0)).toThrow(LinkInvalid)
        expect(() => readLink(secret, more + token, 0)).toThrow(LinkInvalid)
      }),
    )
  })

  test('lends its signature to no other version, disposition or moment', () => {
    fc.assert(
      fc.property(links, links, fc.subarray([0, 1, 2], { minLength: 1 }), (mine, theirs, taken) => {
        const [a, b] = [signLink(secret, mine).split('.'), signLink(secret, theirs).split('.')]
        const swapped = a.map((part, at) => (taken.includes(at) ? b[at] : part)).join('.')
        fc.pre(swapped !== a.join('.'))
        expect(() => readLink(secret, swapped, 0)).toThrow(LinkInvalid)
      }),
    )
  })

  test('has one spelling only', () => {
    const link: Link = {
      versionId: 'ver_0199a2b3c4d570008000000000000001',
      disposition: 'inline',
      expiresAt: 2_000_000_000_000,
    }
    const respelled = signLink(secret, link).replace('.2000', '.02000')
    expect(() => readLink(secret, respelled, 0)).toThrow(LinkInvalid)
  })

  test('of another house is refused, expired or not', () => {
    fc.assert(
      fc.property(links, fc.integer(), (link, now) => {
        expect(() => readLink('another secret', signLink(secret, link), now)).toThrow(LinkInvalid)
      }),
    )
  })

  test('anything else is refused', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => readLink(secret, text, 0)).toThrow(LinkInvalid)
      }),
    )
  })
})

describe('the key of an upload', () => {
  const uploadIds = ids.map((id) => id.replace('ver', 'upl'))

  test('opens its own upload and no other', () => {
    fc.assert(
      fc.property(uploadIds, uploadIds, (id, other) => {
        const mac = uploadKeyMac(secret, id)
        expect(mac).toMatch(/^[\w-]{22}$/)
        expect(isUploadKey(secret, id, mac)).toBe(true)
        expect(isUploadKey(secret, other, mac)).toBe(id === other)
        expect(isUploadKey('another secret', id, mac)).toBe(false)
      }),
    )
  })

  test('must be whole and unchanged', () => {
    fc.assert(
      fc.property(uploadIds, fc.nat(21), fc.string({ unit: 'binary' }), (id, at, instead) => {
        const mac = uploadKeyMac(secret, id)
        const forged = mac.slice(0, at) + instead + mac.slice(at + 1)
        fc.pre(forged !== mac)
        expect(isUploadKey(secret, id, forged)).toBe(false)
      }),
    )
  })

  test('is no signature for anything else', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(sign(secret, 'upload', text)).not.toBe(sign(secret, 'download', text))
      }),
    )
  })
})

describe('an Upload-Checksum header', () => {
  const digestBytes = { sha1: 20, sha256: 32, md5: 16 }

  test.each(checksumAlgorithms)('with %s is read', (algorithm) => {
    const digest = randomBytes(digestBytes[algorithm])
    expect(parseChecksum(`${algorithm} ${digest.toString('base64')}`)).toEqual({
      algorithm,
      digest,
    })
  })

  test('of the tus protocol itself is read', () => {
    const digest = Buffer.from('2aae6c35c94fcfb415dbe95f408b9ce91ee846ed', 'hex')
    expect(parseChecksum('sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=')).toEqual({
      algorithm: 'sha1',
      digest,
    })
  })

  test.each([
    '',
    'sha1',
    'sha1 ',
    ' Kq5sNclPz7QV2+lfQIuc6R7oRu0=',
    'SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=',
    'sha1  Kq5sNclPz7QV2+lfQIuc6R7oRu0=',
    'sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0= ',
    'sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=, md5 x',
    'sha1 Kq5sNclPz7QV2-lfQIuc6R7oRu0=',
    'sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0',
    'sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu1=',
    'sha1 !q5sNclPz7QV2+lfQIuc6R7oRu0=',
    'sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=',
    'crc32 AAAAAA==',
    'toString AAAA',
    'constructor AAAA',
  ])('like %j is none', (header) => {
    expect(parseChecksum(header)).toBeNull()
  })
})
