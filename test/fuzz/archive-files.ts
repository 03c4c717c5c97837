import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { MANIFEST_HEAD, MANIFEST_TAIL } from '../../src/domains/archives/manifest.ts'
import { nearBytes } from './near-bytes.ts'
import { near, oneOf, seldom, text } from './texts.ts'
import { type Packed, zipOf } from './zips.ts'

/** In hex. */
export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
const plain = oneOf(
  'a.txt b/ b/c.txt B/C.TXT d/e/f Größe.csv e\u0301 é ../x /etc/x C:\\x a\\b con manifest.json .versions/a/1',
)
const word = fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xffff, 0xfffffffe, 0xffffffff, 1, 8))
const lies = fc
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
const member: fc.Arbitrary<Packed> = fc.record({
  name: fc.oneof(
    { weight: 5, arbitrary: fc.nat(50).map((number) => `f/${number}.bin`) },
    { weight: 2, arbitrary: plain },
    { weight: 1, arbitrary: near(plain) },
    { weight: 1, arbitrary: text },
  ),
  bytes,
  deflated: fc.boolean(),
  lies: seldom(lies, {}),
  extra: seldom(zip64, Buffer.alloc(0)),
})
const end = {
  count: seldom<number | undefined>(fc.nat(0xffff), undefined),
  comment: seldom(text, ''),
}
const plainZip = fc
  .tuple(fc.array(member, { maxLength: 5 }), fc.record(end))
  .map(([all, { count, comment }]) =>
    zipOf(all, { ...(count !== undefined && { count }), comment: comment.slice(0, 1000) }),
  )

/** What a manifest tells of one file, with up to one field of it wrong. */
const json = fc.oneof(
  fc.constantFrom<unknown>(null, -1, 0, 1.5, 2 ** 31, 2 ** 53, '', [], {}, true, [null], [{}], {
    a: null,
  }),
  text,
  fc.array(text, { maxLength: 3 }),
  fc.dictionary(text, text, { maxKeys: 3 }),
)
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
    const wrong = (all: object) => (field in all ? { ...all, [field]: value } : all)
    const version = wrong({
      number: 1,
      size: bytes.length,
      sha256: sha256(bytes),
      comment: null,
      member: `m${number}`,
    })
    const entry = wrong({
      path: `p/${number}`,
      kind: 'file',
      description: 'x',
      tags: ['t'],
      metadata: { a: 1 },
      versions: [version],
    })
    return { line: JSON.stringify(entry), packed: { name: `m${number}`, bytes } }
  })
const toldZip = fc
  .tuple(
    fc.uniqueArray(line, { maxLength: 4, selector: ({ packed }) => packed.name }),
    near(fc.constant(MANIFEST_HEAD)),
    fc.boolean(),
  )
  .map(([lines, bent, isBent]) => {
    const manifest =
      (isBent ? bent : MANIFEST_HEAD) + lines.map(({ line }) => line).join(',\n') + MANIFEST_TAIL
    return zipOf([
      ...lines.map(({ packed }) => packed),
      { name: 'manifest.json', bytes: Buffer.from(manifest) },
    ])
  })
/** A header as tar has it; taken for no archive here. */
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

const bentOrNot = (whole: fc.Arbitrary<Buffer>) =>
  fc.oneof({ weight: 2, arbitrary: whole }, { weight: 1, arbitrary: whole.chain(nearBytes) })

/** ZIP files that lie, manifests that lie, either of them with bytes changed, and now and then a tar. */
export const archiveFiles: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 5, arbitrary: bentOrNot(plainZip) },
  { weight: 4, arbitrary: bentOrNot(toldZip) },
  { weight: 1, arbitrary: tar },
)
