import { Readable } from 'node:stream'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { type Fault, step } from './kinds.ts'
import { befall, die, fateOf } from './points.ts'

type Request = { method: string; path: string; query?: Record<string, unknown>; body?: unknown }
type Answer = { response: { statusCode: number; headers: Record<string, string>; body?: unknown } }
type Handle = (this: unknown, request: Request, ...more: unknown[]) => Promise<Answer>

const refusals: Partial<Record<Fault, [status: number, code: string]>> = {
  SLOW_DOWN: [503, 'SlowDown'],
  INTERNAL_ERROR: [500, 'InternalError'],
  ERROR_IN_200: [200, 'InternalError'],
  NOT_YET: [404, 'NoSuchKey'],
  EXPIRED: [400, 'ExpiredToken'],
  SKEWED: [403, 'RequestTimeTooSkewed'],
}

const otherAnswers: Partial<Record<Fault, (answer: Answer) => Promise<Answer>>> = {
  WRONG_ETAG: withOtherETag,
  CUT_READING: withHalf,
}

/** From here on every request to the bucket passes through the points. */
export function patchBucket(): void {
  const handler = NodeHttpHandler.prototype as unknown as { handle: Handle }
  const { handle } = handler
  handler.handle = async function (request, ...more) {
    const act = () => handle.call(this, request, ...more)
    const fault = fateOf(stepOf(request))
    if (!fault || fault.startsWith('KILL')) return befall(fault, { act, error: () => die() })
    const refusal = refusals[fault]
    if (refusal) return refused(request, ...refusal)
    const other = otherAnswers[fault]
    if (other) return other(await act())
    if (fault === 'LOST' || fault === 'UNHEARD') await forgotten(await act())
    if (fault === 'CUT_SENDING') await halfSent(request)
    throw netFault(fault)
  }
}

function stepOf({ method, path, query = {} }: Request) {
  const what = Object.keys(query).filter((key) => key !== 'x-id')
  const lasts = method !== 'GET' && method !== 'HEAD'
  return step('bucket', `${method} ${what.join(' ')} ${path.split('/').at(-2)}`, { lasts })
}

/** The answer has come, and nobody will hear it. */
const forgotten = ({ response: { body } }: Answer) => bytesIn(body)

async function bytesIn(body: unknown): Promise<Buffer> {
  return body instanceof Readable ? Buffer.concat(await body.toArray()) : Buffer.alloc(0)
}

/** A stream runs once: what has been sent of it is not there any more. */
async function halfSent({ body }: Request) {
  if (body instanceof Readable) for await (const _ of body) break
}

async function withHalf({ response }: Answer): Promise<Answer> {
  const all = await bytesIn(response.body)
  async function* half() {
    yield all.subarray(0, all.length / 2)
    throw netFault('RESET')
  }
  response.body = Readable.from(half(), { objectMode: false })
  return { response }
}

const anyETag = /\b[0-9a-f]{32}\b/g
const other = '0123456789abcdef'.repeat(2)

async function withOtherETag({ response }: Answer): Promise<Answer> {
  const { headers } = response
  if (headers.etag) headers.etag = headers.etag.replace(anyETag, other)
  const text = (await bytesIn(response.body)).toString().replaceAll(anyETag, other)
  response.body = Readable.from([Buffer.from(text)])
  return { response }
}

/** With the date that the SDK puts its clock by; an answer to HEAD has no body. */
const refused = ({ method }: Request, statusCode: number, code: string): Answer => {
  const said = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`
  const body = method === 'HEAD' ? '' : said
  const headers = {
    'content-type': 'application/xml',
    'content-length': `${body.length}`,
    date: new Date().toUTCString(),
  }
  return { response: { statusCode, headers, body: Readable.from([Buffer.from(body)]) } }
}

function netFault(fault: Fault) {
  if (fault === 'TIMEOUT')
    return Object.assign(new Error('no answer came in time'), { name: 'TimeoutError' })
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' })
}
