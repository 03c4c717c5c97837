import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { MANIFEST_HEAD, MANIFEST_TAIL } from '../../../src/domains/archives/manifest.ts'
import { mutateBytes } from './near-bytes.ts'
import { mostly, mutated, oneOf, text } from './texts.ts'
import { type ZipMember, zipOf } from './zips.ts'

/** Returns the SHA-256 of bytes in hex. */
export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const memberName = oneOf(
  'a.txt b/ b/c.txt B/C.TXT d/e/f Größe.csv e\u0301 é ../x /etc/x C:\\x a\\b con manifest.json .versions/a/1',
)
const word = fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xffff, 0xfffffffe, 0xffffffff, 1, 8))
const overrides = fc
  .record(
    {
      crc: word,
      size: word,
      packed: word,
      offset: word,
      method: fc.constantFrom(0, 8, 12, 99),
      flags: fc.nat(0xffff),
      attributes: fc.constantFrom(0o120777 << 16, 0o100644 << 16, 0o60000 << 16),
      madeBy: fc.constantFrom(0, 3),
    },
    { requiredKeys: [] },
  )
  .chain((all) => fc.subarray(Object.entries(all), { maxLength: 1 }).map(Object.fromEntries))
const zip64 = fc
  .tuple(fc.constantFrom(1, 0x7875), fc.uint8Array({ maxLength: 32 }))
  .map(([id, bytes]) => {
    const head = Buffer.alloc(4)
    head.writeUInt16LE(id, 0)
    head.writeUInt16LE(bytes.length, 2)
    return Buffer.concat([head, bytes])
  })
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 100 }).map((some) => Buffer.from(some)),
  fc.nat(200_000).map((length) => Buffer.alloc(length)),
)
const member: fc.Arbitrary<ZipMember> = fc.record({
  name: fc.oneof(
    { weight: 5, arbitrary: fc.nat(50).map((number) => `f/${number}.bin`) },
    { weight: 2, arbitrary: memberName },
    { weight: 1, arbitrary: mutated(memberName) },
    { weight: 1, arbitrary: text },
  ),
  bytes,
  deflated: fc.boolean(),
  overrides: mostly(overrides, {}),
  extra: mostly(zip64, Buffer.alloc(0)),
})
const endRecord = {
  count: mostly<number | undefined>(fc.nat(0xffff), undefined),
  comment: mostly(text, ''),
}
const plainZip = fc
  .tuple(fc.array(member, { maxLength: 5 }), fc.record(endRecord))
  .map(([all, { count, comment }]) =>
    zipOf(all, { ...(count !== undefined && { count }), comment: comment.slice(0, 1000) }),
  )

/** A JSON value that a field of a manifest may have. */
const json = fc.oneof(
  fc.constantFrom<unknown>(null, -1, 0, 1.5, 2 ** 31, 2 ** 53, '', [], {}, true, [null], [{}], {
    a: null,
  }),
  text,
  fc.array(text, { maxLength: 3 }),
  fc.dictionary(text, text, { maxKeys: 3 }),
)
/** A manifest entry of one file, with at most one wrong field. */
const line = fc
  .record({
    number: fc.nat(9),
    bytes,
    field: oneOf(
      'none none none path kind description tags metadata versions size sha256 number comment member',
    ),
    value: json,
  })
  .map(({ number, bytes, field, value }) => {
    const withOverride = (all: object) => (field in all ? { ...all, [field]: value } : all)
    const version = withOverride({
      number: 1,
      size: bytes.length,
      sha256: sha256(bytes),
      comment: null,
      member: `m${number}`,
    })
    const entry = withOverride({
      path: `p/${number}`,
      kind: 'file',
      description: 'x',
      tags: ['t'],
      metadata: { a: 1 },
      versions: [version],
    })
    return { line: JSON.stringify(entry), packed: { name: `m${number}`, bytes } }
  })
const zipWithManifest = fc
  .tuple(
    fc.uniqueArray(line, { maxLength: 4, selector: ({ packed }) => packed.name }),
    mutated(fc.constant(MANIFEST_HEAD)),
    fc.boolean(),
  )
  .map(([lines, corrupted, isCorrupted]) => {
    const manifest =
      (isCorrupted ? corrupted : MANIFEST_HEAD) +
      lines.map(({ line }) => line).join(',\n') +
      MANIFEST_TAIL
    return zipOf([
      ...lines.map(({ packed }) => packed),
      { name: 'manifest.json', bytes: Buffer.from(manifest) },
    ])
  })
/** A tar header. The server does not support tar. */
const tar = fc
  .uint8Array({ maxLength: 600 })
  .map((rest) =>
    Buffer.concat([
      Buffer.from('a.txt'.padEnd(100, '\0')),
      Buffer.from('0000644\0'.padEnd(157, '0')),
      Buffer.from('ustar\0'),
      Buffer.from(rest),
    ]),
  )

const maybeCorrupted = (whole: fc.Arbitrary<Buffer>) =>
  fc.oneof({ weight: 2, arbitrary: whole }, { weight: 1, arbitrary: whole.chain(mutateBytes) })

/** ZIP files with wrong headers or manifests, some with changed bytes, and some tar files. */
export const archiveFiles: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 5, arbitrary: maybeCorrupted(plainZip) },
  { weight: 4, arbitrary: maybeCorrupted(zipWithManifest) },
  { weight: 1, arbitrary: tar },
)
