import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidInput } from '../../../src/errors/input.ts'
import { parseMetadata, uploadFromMetadata } from '../../../src/http/tus/metadata.ts'

const key = fc.stringMatching(/^[\x21-\x2b\x2d-\x7e]{1,20}$/)
const pairs = fc.uniqueArray(fc.tuple(key, fc.uint8Array({ maxLength: 60 })), {
  selector: ([key]) => key,
  minLength: 1,
  maxLength: 12,
})
const encode = (key: string, value: Uint8Array) =>
  value.length === 0 ? key : `${key} ${Buffer.from(value).toString('base64')}`

test('decodes what a client encodes, byte for byte', () => {
  fc.assert(
    fc.property(pairs, fc.constantFrom(',', ', '), (pairs, comma) => {
      const read = parseMetadata(pairs.map(([key, value]) => encode(key, value)).join(comma))
      expect([...read].map(([key, value]) => [key, [...value]])).toEqual(
        pairs.map(([key, value]) => [key, [...value]]),
      )
    }),
  )
})

test('rejects duplicate keys at any position', () => {
  fc.assert(
    fc.property(pairs, fc.nat(), (pairs, n) => {
      const header = [...pairs, pairs[n % pairs.length] ?? pairs[0]].map((pair) =>
        encode(...(pair as [string, Uint8Array])),
      )
      expect(() => parseMetadata(header.join(','))).toThrow(InvalidInput)
    }),
  )
})

test('S7: parses or rejects any header', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string({ unit: fc.constantFrom(',', ' ', 'a', '=', '+', '/', 'Q', 'Z') }),
      ),
      (header) => {
        try {
          parseMetadata(header)
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidInput)
        }
      },
    ),
    { numRuns: 500 },
  )
})

describe('known keys', () => {
  const read = (said: Record<string, string | Uint8Array>) =>
    uploadFromMetadata(
      Object.entries(said)
        .map(([key, value]) => encode(key, Buffer.from(value)))
        .join(','),
      null,
    )

  test('prefer name to filename and filetype to type', () => {
    const said = { workspaceId: 'ws', filename: 'f', name: 'n', type: 'a/b', filetype: 'c/d' }
    expect(read(said)).toMatchObject({ name: 'n', mediaType: 'c/d' })
    expect(read({ workspaceId: 'ws', filename: 'f', type: 'a/b' })).toMatchObject({
      name: 'f',
      mediaType: 'a/b',
    })
  })

  test('treat an empty value as missing', () => {
    expect(read({ workspaceId: 'ws', filename: '', path: '' })).toMatchObject({
      name: null,
      path: null,
    })
  })

  test('reject text that is not UTF-8; unknown keys may have any bytes', () => {
    const bytes = Uint8Array.of(0xff, 0xfe)
    expect(() => read({ workspaceId: 'ws', filename: bytes })).toThrow('filename is not UTF-8')
    expect(read({ workspaceId: 'ws', thumbnail: bytes })).toMatchObject({ workspaceId: 'ws' })
  })

  test('require a workspace unless the token is bound to one', () => {
    const viewer = { userId: 'u', tokenId: 't', scopes: new Set<never>(), workspaceId: 'ws_bound' }
    expect(uploadFromMetadata(undefined, viewer)).toMatchObject({ workspaceId: 'ws_bound' })
    expect(() => uploadFromMetadata(undefined, { ...viewer, workspaceId: null })).toThrow(
      InvalidInput,
    )
  })
})
