import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { InvalidInput } from '../../src/errors.ts'
import { parseMetadata, uploadFromMetadata } from '../../src/http/tus/metadata.ts'

const key = fc.stringMatching(/^[\x21-\x2b\x2d-\x7e]{1,20}$/)
const pairs = fc.uniqueArray(fc.tuple(key, fc.uint8Array({ maxLength: 60 })), {
  selector: ([key]) => key,
  minLength: 1,
  maxLength: 12,
})
const encode = (key: string, value: Uint8Array) =>
  value.length === 0 ? key : `${key} ${Buffer.from(value).toString('base64')}`

test('what a client encodes is what is read, byte for byte', () => {
  fc.assert(
    fc.property(pairs, fc.constantFrom(',', ', '), (pairs, comma) => {
      const read = parseMetadata(pairs.map(([key, value]) => encode(key, value)).join(comma))
      expect([...read].map(([key, value]) => [key, [...value]])).toEqual(
        pairs.map(([key, value]) => [key, [...value]]),
      )
    }),
  )
})

test('a key that is there twice is refused, wherever it stands', () => {
  fc.assert(
    fc.property(pairs, fc.nat(), (pairs, n) => {
      const header = [...pairs, pairs[n % pairs.length] ?? pairs[0]].map((pair) =>
        encode(...(pair as [string, Uint8Array])),
      )
      expect(() => parseMetadata(header.join(','))).toThrow(InvalidInput)
    }),
  )
})

test('S7: whatever the header is, it is read or refused, and nothing else happens', () => {
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

describe('what means something here', () => {
  const read = (said: Record<string, string | Uint8Array>) =>
    uploadFromMetadata(
      Object.entries(said)
        .map(([key, value]) => encode(key, Buffer.from(value)))
        .join(','),
      null,
    )

  test('name goes before filename, filetype before type', () => {
    const said = { workspaceId: 'ws', filename: 'f', name: 'n', type: 'a/b', filetype: 'c/d' }
    expect(read(said)).toMatchObject({ name: 'n', mediaType: 'c/d' })
    expect(read({ workspaceId: 'ws', filename: 'f', type: 'a/b' })).toMatchObject({
      name: 'f',
      mediaType: 'a/b',
    })
  })

  test('an empty value is none', () => {
    expect(read({ workspaceId: 'ws', filename: '', path: '' })).toMatchObject({
      name: null,
      path: null,
    })
  })

  test('values that are not UTF-8 are refused where they are text, and let pass where they mean nothing', () => {
    const bytes = Uint8Array.of(0xff, 0xfe)
    expect(() => read({ workspaceId: 'ws', filename: bytes })).toThrow('filename is not UTF-8')
    expect(read({ workspaceId: 'ws', thumbnail: bytes })).toMatchObject({ workspaceId: 'ws' })
  })

  test('without a workspace there must be a token that is bound to one', () => {
    const viewer = { userId: 'u', tokenId: 't', scopes: new Set<never>(), workspaceId: 'ws_bound' }
    expect(uploadFromMetadata(undefined, viewer)).toMatchObject({ workspaceId: 'ws_bound' })
    expect(() => uploadFromMetadata(undefined, { ...viewer, workspaceId: null })).toThrow(
      InvalidInput,
    )
  })
})
