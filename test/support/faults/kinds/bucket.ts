import { Readable } from 'node:stream'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { type Fault, step } from './kinds.ts'
import { applyFault, faultOf, killSelf } from './points.ts'

type Request = { method: string; path: string; query?: Record<string, unknown>; body?: unknown }
type Answer = { response: { statusCode: number; headers: Record<string, string>; body?: unknown } }
type Handle = (this: unknown, request: Request, ...more: unknown[]) => Promise<Answer>

const errorAnswers: Partial<Record<Fault, [status: number, code: string]>> = {
  SLOW_DOWN: [503, 'SlowDown'],
  INTERNAL_ERROR: [500, 'InternalError'],
  ERROR_IN_200: [200, 'InternalError'],
  NOT_YET: [404, 'NoSuchKey'],
  EXPIRED: [400, 'ExpiredToken'],
  SKEWED: [403, 'RequestTimeTooSkewed'],
}

const otherAnswers: Partial<Record<Fault, (answer: Answer) => Promise<Answer>>> = {
  WRONG_ETAG: replaceETag,
  CUT_READING: truncateBody,
}

/** Routes every request to the bucket through the fault points. */
export function patchBucket(): void {
  const handler = NodeHttpHandler.prototype as unknown as { handle: Handle }
  const { handle } = handler
  handler.handle = async function (request, ...more) {
    const act = () => handle.call(this, request, ...more)
    const fault = faultOf(stepOf(request))
    if (!fault || fault.startsWith('KILL'))
      return applyFault(fault, { act, error: () => killSelf() })
    const error = errorAnswers[fault]
    if (error) return errorAnswer(request, ...error)
    const other = otherAnswers[fault]
    if (other) return other(await act())
    if (fault === 'LOST' || fault === 'UNHEARD') await discardBody(await act())
    if (fault === 'CUT_SENDING') await readHalf(request)
    throw connectionError(fault)
  }
}

function stepOf({ method, path, query = {} }: Request) {
  const what = Object.keys(query).filter((key) => key !== 'x-id')
  const lasts = method !== 'GET' && method !== 'HEAD'
  return step('bucket', `${method} ${what.join(' ')} ${path.split('/').at(-2)}`, { lasts })
}

/** Reads the response and discards it. */
const discardBody = ({ response: { body } }: Answer) => readBytes(body)

async function readBytes(body: unknown): Promise<Buffer> {
  return body instanceof Readable ? Buffer.concat(await body.toArray()) : Buffer.alloc(0)
}

/** Consumes the first chunk of the body. A stream is read only once, so this chunk cannot be sent again. */
async function readHalf({ body }: Request) {
  if (body instanceof Readable) for await (const _ of body) break
}

async function truncateBody({ response }: Answer): Promise<Answer> {
  const all = await readBytes(response.body)
  async function* half() {
    yield all.subarray(0, all.length / 2)
    throw connectionError('RESET')
  }
  response.body = Readable.from(half(), { objectMode: false })
  return { response }
}

const anyETag = /\b[0-9a-f]{32}\b/g
const other = '0123456789abcdef'.repeat(2)

async function replaceETag({ response }: Answer): Promise<Answer> {
  const { headers } = response
  if (headers.etag) headers.etag = headers.etag.replace(anyETag, other)
  const text = (await readBytes(response.body)).toString().replaceAll(anyETag, other)
  response.body = Readable.from([Buffer.from(text)])
  return { response }
}

/** Has a Date header, by which the SDK corrects its clock. A response to HEAD has no body. */
const errorAnswer = ({ method }: Request, statusCode: number, code: string): Answer => {
  const xml = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`
  const body = method === 'HEAD' ? '' : xml
  const headers = {
    'content-type': 'application/xml',
    'content-length': `${body.length}`,
    date: new Date().toUTCString(),
  }
  return { response: { statusCode, headers, body: Readable.from([Buffer.from(body)]) } }
}

function connectionError(fault: Fault) {
  if (fault === 'TIMEOUT')
    return Object.assign(new Error('no answer came in time'), { name: 'TimeoutError' })
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' })
}
