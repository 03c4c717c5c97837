import fc from 'fast-check'
import type { Ground } from './fuzz-server.ts'
import { nearBytes } from './near-bytes.ts'
import { emptyFolder } from './paths.ts'
import type { Subject } from './runs.ts'
import { headerSafe, near, seldom, text } from './texts.ts'
import { insist, parsed, sound } from './verify-answer.ts'
import { ask } from './wire.ts'

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
  fileField: seldom(text, 'file'),
  fileName: fc.oneof(
    fc.constantFrom('a.bin', 'Größe.csv', 'a%22b', 'a"b', '../x', 'x'.repeat(300)),
    near(fc.constant('plate.csv')),
  ),
  type: seldom(text, 'text/plain'),
  bytes: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  contentType: seldom(
    near(fc.constant(`multipart/form-data; boundary=${BOUNDARY}`)),
    `multipart/form-data; boundary=${BOUNDARY}`,
  ),
  tail: seldom(near(fc.constant(`\r\n--${BOUNDARY}--\r\n`)), `\r\n--${BOUNDARY}--\r\n`),
})
type Form = typeof form extends fc.Arbitrary<infer T> ? T : never
type Sent = { form: Form; bent: Buffer | null; isBent: boolean }

const part = (head: string, body: string | Buffer) =>
  Buffer.concat([
    Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`),
    Buffer.from(body as string),
    Buffer.from('\r\n'),
  ])
const quoted = (value: string) => `"${value.replace(/"/g, '%22').replace(/[\r\n]/g, ' ')}"`

function bodyOf(
  { before, after, fileField, fileName, type, bytes, tail }: Form,
  to: [string, string][],
) {
  const parts = (all: [string, string][]) =>
    all.map(([name, value]) => part(`name=${quoted(name)}`, value))
  const file = part(
    `name=${quoted(fileField)}; filename=${quoted(fileName)}\r\nContent-Type: ${type.replace(/[\r\n]/g, ' ')}`,
    bytes,
  )
  const all = Buffer.concat([...parts(to), ...parts(before), file, ...parts(after)])
  return Buffer.concat([all.subarray(0, -2), Buffer.from(tail)])
}

/** Forms with something wrong: a file has the bytes of its part, or there is none. */
export const forms: Subject<Sent> = {
  name: 'forms',
  rows: 'S1, S36',
  cases: () =>
    form.chain((form) =>
      fc.record({
        form: fc.constant(form),
        isBent: fc.boolean(),
        bent: fc.option(nearBytes(bodyOf(form, [])), { freq: 1 }),
      }),
    ),
  async check(ground, { form, bent, isBent }) {
    const place = await emptyFolder(ground)
    const to: [string, string][] = [
      ['workspaceId', ground.workspaceId],
      ['folderId', place.id],
    ]
    const isWhole = !isBent || bent === null
    const body = isWhole ? bodyOf(form, to) : bent
    const query = isWhole ? '' : `?workspaceId=${ground.workspaceId}&folderId=${place.id}`
    const headers = { 'Content-Type': headerSafe(form.contentType) }
    const answer = sound(
      await ask(ground, { method: 'POST', path: `/files${query}`, headers, body }),
    )
    if (answer.status < 300) await readsBack(ground, parsed(answer.body), isWhole ? form : null)
    else insist(answer.status >= 400, `${answer.status}`)
    return answer.status < 300
  },
}

async function readsBack(
  ground: Ground,
  { id, size }: { id: string; size: number },
  form: Form | null,
) {
  const { body, status } = sound(await ask(ground, { path: `/download/${id}` }))
  insist(status === 200 && body.length === size, `of ${size} bytes ${body.length} came back`)
  if (form?.tail.startsWith(`\r\n--${BOUNDARY}`))
    insist(body.equals(form.bytes), 'the file is not what the form held')
}
