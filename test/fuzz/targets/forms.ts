import fc from 'fast-check'
import type { FuzzServer } from '../fuzz-server.ts'
import { mutateBytes } from '../inputs/near-bytes.ts'
import { createEmptyFolder } from '../inputs/paths.ts'
import { headerSafe, mostly, mutated, text } from '../inputs/texts.ts'
import type { Subject } from '../runs.ts'
import { assertInvariant, checkResponse, parseJson } from '../verify-answer.ts'
import { sendRequest } from '../wire.ts'

const BOUNDARY = '----formBoundary7MA4YWxk'
const fields = fc.oneof(
  fc.constantFrom(
    'path',
    'dir',
    'name',
    'description',
    'tags',
    'onConflict',
    'sha256',
    'db_commit',
    'table_name',
    'column_name',
    'workspaceId',
    '__proto__',
  ),
  text,
)
const values = fc.oneof(
  fc.constantFrom('raw/2025', 'RENAME', 'a,b', 'true', 'plates', 'image', 'root', 'a'.repeat(64)),
  text,
)
const field = fc.tuple(fields, values)

const form = fc.record({
  before: fc.array(field, { maxLength: 3 }),
  after: fc.array(field, { maxLength: 2 }),
  fileField: mostly(text, 'file'),
  fileName: fc.oneof(
    fc.constantFrom('a.bin', 'Größe.csv', 'a%22b', 'a"b', '../x', 'x'.repeat(300)),
    mutated(fc.constant('plate.csv')),
  ),
  type: mostly(text, 'text/plain'),
  bytes: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  contentType: mostly(
    mutated(fc.constant(`multipart/form-data; boundary=${BOUNDARY}`)),
    `multipart/form-data; boundary=${BOUNDARY}`,
  ),
  tail: mostly(mutated(fc.constant(`\r\n--${BOUNDARY}--\r\n`)), `\r\n--${BOUNDARY}--\r\n`),
})
type Form = typeof form extends fc.Arbitrary<infer T> ? T : never
type FormCase = { form: Form; corrupted: Buffer | null; isCorrupted: boolean }

const part = (head: string, body: string | Buffer) =>
  Buffer.concat([
    Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`),
    Buffer.from(body as string),
    Buffer.from('\r\n'),
  ])
const quoted = (value: string) => `"${value.replace(/"/g, '%22').replace(/[\r\n]/g, ' ')}"`

function bodyOf(
  { before, after, fileField, fileName, type, bytes, tail }: Form,
  destination: [string, string][],
) {
  const parts = (all: [string, string][]) =>
    all.map(([name, value]) => part(`name=${quoted(name)}`, value))
  const file = part(
    `name=${quoted(fileField)}; filename=${quoted(fileName)}\r\nContent-Type: ${type.replace(/[\r\n]/g, ' ')}`,
    bytes,
  )
  const all = Buffer.concat([...parts(destination), ...parts(before), file, ...parts(after)])
  return Buffer.concat([all.subarray(0, -2), Buffer.from(tail)])
}

/** Malformed forms: the file has the bytes of its part, or none is created. */
export const forms: Subject<FormCase> = {
  name: 'forms',
  rows: 'S1, S36',
  cases: () =>
    form.chain((form) =>
      fc.record({
        form: fc.constant(form),
        isCorrupted: fc.boolean(),
        corrupted: fc.option(mutateBytes(bodyOf(form, [])), { freq: 1 }),
      }),
    ),
  async check(server, { form, corrupted, isCorrupted }) {
    const folder = await createEmptyFolder(server)
    const destination: [string, string][] = [
      ['workspaceId', server.workspaceId],
      ['folderId', folder.id],
    ]
    const isWhole = !isCorrupted || corrupted === null
    const body = isWhole ? bodyOf(form, destination) : corrupted
    const query = isWhole ? '' : `?workspaceId=${server.workspaceId}&folderId=${folder.id}`
    const headers = { 'Content-Type': headerSafe(form.contentType) }
    const answer = checkResponse(
      await sendRequest(server, { method: 'POST', path: `/files${query}`, headers, body }),
    )
    if (answer.status < 300) {
      // A form that was corrupted into one with several files is answered with a list.
      const files = [parseJson(answer.body)].flat()
      const sent = isWhole && files.length === 1 ? form : null
      for (const file of files) await checkReadBack(server, file, sent)
    } else assertInvariant(answer.status >= 400, `${answer.status}`)
    return answer.status < 300
  },
}

async function checkReadBack(
  server: FuzzServer,
  { id, size }: { id: string; size: number },
  form: Form | null,
) {
  const { body, status } = checkResponse(await sendRequest(server, { path: `/download/${id}` }))
  assertInvariant(
    status === 200 && body.length === size,
    `downloaded ${body.length} of ${size} bytes`,
  )
  if (form?.tail.startsWith(`\r\n--${BOUNDARY}`))
    assertInvariant(body.equals(form.bytes), 'the file differs from the part of the form')
}
