import fc from 'fast-check'
import { headerSafe, mutated, numeral } from '../inputs/texts.ts'

/** Content type of upload bytes. */
export const TYPE = 'application/offset+octet-stream'
const mostlyNot = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })

const safe = (arbitrary: fc.Arbitrary<string>) => arbitrary.map(headerSafe)
/** Headers of a POST that creates an upload. */
export const creation = fc.record({
  length: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 200 }).map(String) },
    { weight: 1, arbitrary: safe(numeral) },
  ),
  defer: mostlyNot(safe(fc.constantFrom('1', '0', '', 'true', '11'))),
  concat: mostlyNot(
    safe(mutated(fc.constantFrom('partial', 'final;/uploads/a /uploads/b', 'final; '))),
  ),
  version: mostlyNot(safe(mutated(fc.constant('1.0.0')))),
  metadata: mostlyNot(safe(mutated(fc.constant('filename YS50eHQ=')))),
})

/** One PATCH, possibly with a method override or wrong headers. */
export const step = fc.record({
  /** The current offset, one byte before or after it, or an invalid number. */
  offset: fc.oneof(
    { weight: 6, arbitrary: fc.constant('right') },
    { weight: 1, arbitrary: fc.constantFrom('before', 'after') },
    { weight: 1, arbitrary: safe(numeral) },
  ),
  body: fc.uint8Array({ maxLength: 120 }),
  rest: fc.boolean(),
  checksum: mostlyNot(
    fc.constantFrom('right', 'wrong', 'md5 AAAA', 'sha1', 'sha1 !!!', 'sha256 ', 'crc32 AAAAAA=='),
  ),
  type: mostlyNot(
    safe(
      fc.oneof(mutated(fc.constant(TYPE)), fc.constantFrom('', `${TYPE}; x=y`, TYPE.toUpperCase())),
    ),
  ),
  length: mostlyNot(safe(numeral)),
  override: mostlyNot(
    fc.constantFrom('PATCH', 'patch', 'HEAD', 'GET', 'DELETE', 'POST', 'PUT', '', 'PATCH '),
  ),
  extra: mostlyNot(safe(mutated(fc.constant('Upload-Concat: partial')))),
  chunked: mostlyNot(fc.constant(true)),
})
export type Creation = typeof creation extends fc.Arbitrary<infer T> ? T : never
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
