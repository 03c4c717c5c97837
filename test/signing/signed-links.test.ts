import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checksumAlgorithms, parseChecksum } from '../../src/blobs/streams/checksum.ts'
import { LinkExpired, LinkInvalid } from '../../src/errors/access.ts'
import {
  isIdSignature,
  type Link,
  readLink,
  signLink,
  signUploadId,
} from '../../src/signing/signed-links.ts'
import { createSigningKeys, sign } from '../../src/signing/signing-keys.ts'
import { keysOf } from '../support/signing.ts'

const keys = keysOf('a secret of the server')
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
        const token = signLink(keys, link)
        expect(readLink(keys, token, link.expiresAt - 1 - early)).toEqual(link)
      }),
    )
  })

  test('expires at its moment, and says so', () => {
    fc.assert(
      fc.property(links, fc.nat(), (link, late) => {
        const token = signLink(keys, link)
        expect(() => readLink(keys, token, link.expiresAt + late)).toThrow(LinkExpired)
      }),
    )
  })

  test('goes into a URL as it is', () => {
    fc.assert(
      fc.property(links, (link) => {
        const token = signLink(keys, link)
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
        const token = signLink(keys, link)
        const place = at % token.length
        const forged = token.slice(0, place) + instead + token.slice(place + 1)
        fc.pre(forged !== token)
        expect(() => readLink(keys, forged, 0)).toThrow(LinkInvalid)
      }),
      { numRuns: 1_000 },
    )
  })

  test('is refused when any bit of it is turned', () => {
    const token = signLink(keys, {
      versionId: 'ver_0199a2b3c4d570008000000000000001',
      disposition: 'inline',
      expiresAt: 2_000_000_000_000,
    })
    for (let bit = 0; bit < token.length * 8; bit++) {
      const bytes = Buffer.from(token)
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => readLink(keys, bytes.toString('latin1'), 0)).toThrow(LinkInvalid)
    }
  })

  test('is refused when it is cut short or goes on', () => {
    fc.assert(
      fc.property(links, fc.nat(), fc.string({ minLength: 1 }), (link, at, more) => {
        const token = signLink(keys, link)
        expect(() => readLink(keys, token.slice(0, at % token.length), 0)).toThrow(LinkInvalid)
        expect(() => readLink(keys, token + more, 0)).toThrow(LinkInvalid)
        expect(() => readLink(keys, more + token, 0)).toThrow(LinkInvalid)
      }),
    )
  })

  test('lends its signature to no other version, disposition or moment', () => {
    fc.assert(
      fc.property(links, links, fc.subarray([0, 1, 2], { minLength: 1 }), (mine, theirs, taken) => {
        const [a, b] = [signLink(keys, mine).split('.'), signLink(keys, theirs).split('.')]
        const swapped = a.map((part, at) => (taken.includes(at) ? b[at] : part)).join('.')
        fc.pre(swapped !== a.join('.'))
        expect(() => readLink(keys, swapped, 0)).toThrow(LinkInvalid)
      }),
    )
  })

  test('has one spelling only', () => {
    const link: Link = {
      versionId: 'ver_0199a2b3c4d570008000000000000001',
      disposition: 'inline',
      expiresAt: 2_000_000_000_000,
    }
    const respelled = signLink(keys, link).replace('.2000', '.02000')
    expect(() => readLink(keys, respelled, 0)).toThrow(LinkInvalid)
  })

  test('of another server is refused, expired or not', () => {
    fc.assert(
      fc.property(links, fc.integer(), (link, now) => {
        expect(() => readLink(keysOf('another secret'), signLink(keys, link), now)).toThrow(
          LinkInvalid,
        )
      }),
    )
  })

  test('anything else is refused', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => readLink(keys, text, 0)).toThrow(LinkInvalid)
      }),
    )
  })
})

describe('a key that another one has followed', () => {
  const old = { id: '', secret: 'of the first version', activeFrom: 0 }
  const first = { id: 'k00000001', secret: 'one', activeFrom: 10 }
  const second = { id: 'k00000002', secret: 'two', activeFrom: 20 }
  const link: Link = {
    versionId: 'ver_0199a2b3c4d570008000000000000001',
    disposition: 'inline',
    expiresAt: 2_000_000_000_000,
  }

  test('signs until the other one is active, and what it has signed stays good', () => {
    let now = 0
    const all = createSigningKeys([second, old, first], () => now)
    const tokens = [0, 10, 20].map((moment) => {
      now = moment
      return signLink(all, link)
    })
    expect(tokens.map((token) => token.match(/k\d+/)?.[0])).toEqual([
      undefined,
      'k00000001',
      'k00000002',
    ])
    for (const token of tokens) expect(readLink(all, token, 0)).toEqual(link)
  })

  test('is refused once it is deleted, and lends its id to no other key', () => {
    const both = createSigningKeys([first, second], () => 15)
    const token = signLink(both, link)
    both.replace([second])
    expect(() => readLink(both, token, 0)).toThrow(LinkInvalid)
    for (const id of ['k00000002.', '', 'k0000000.', 'k000000010.'])
      expect(() => readLink(both, token.replace('k00000001.', id), 0)).toThrow(LinkInvalid)
  })
})

describe('the key of an upload', () => {
  const uploadIds = ids.map((id) => id.replace('ver', 'upl'))

  test('opens its own upload and no other', () => {
    fc.assert(
      fc.property(uploadIds, uploadIds, (id, other) => {
        const mac = signUploadId(keys, id)
        expect(mac).toMatch(/^k0123abcd\.[\w-]{22}$/)
        expect(isIdSignature(keys, 'upload', id, mac)).toBe(true)
        expect(isIdSignature(keys, 'upload', other, mac)).toBe(id === other)
        expect(isIdSignature(keysOf('another secret'), 'upload', id, mac)).toBe(false)
      }),
    )
  })

  test('must be whole and unchanged', () => {
    fc.assert(
      fc.property(uploadIds, fc.nat(21), fc.string({ unit: 'binary' }), (id, at, instead) => {
        const mac = signUploadId(keys, id)
        const forged = mac.slice(0, at) + instead + mac.slice(at + 1)
        fc.pre(forged !== mac)
        expect(isIdSignature(keys, 'upload', id, forged)).toBe(false)
      }),
    )
  })

  test('is no signature for anything else', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(sign(keys, 'upload', text)).not.toBe(sign(keys, 'download', text))
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
    ' Kq5sNclPz7QV2+lfQIuc6R7oRu0=',
    'SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=',
    'crc32 AAAAAA==',
    'toString AAAA',
    'constructor AAAA',
  ])('like %j names no known algorithm', (header) => {
    expect(parseChecksum(header)).toBeNull()
  })

  test.each([
    'sha1',
    'sha1 ',
    'sha1  Kq5sNclPz7QV2+lfQIuc6R7oRu0=',
    'sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0= ',
    'sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=, md5 x',
    'sha1 Kq5sNclPz7QV2-lfQIuc6R7oRu0=',
    'sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0',
    'sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu1=',
    'sha1 !q5sNclPz7QV2+lfQIuc6R7oRu0=',
    'sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=',
  ])('like %j has no digest that bytes could match', (header) => {
    expect(parseChecksum(header)?.digest).toBeNull()
  })
})
