import { Readable } from 'node:stream'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import { type Fault, step } from './kinds.ts'
import { befall, die, fateOf } from './points.ts'

type Request = { method: string; path: string; query?: Record<string, unknown> }
type Answer = { response: { statusCode: number; headers: Record<string, string>; body?: unknown } }
type Handle = (this: unknown, request: Request, ...more: unknown[]) => Promise<Answer>

const refusals: Partial<Record<Fault, [status: number, code: string]>> = {
  SLOW_DOWN: [503, 'SlowDown'],
  INTERNAL_ERROR: [500, 'InternalError'],
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
    if (refusal) return refused(...refusal)
    if (fault === 'LOST') await forgotten(await act())
    throw netFault(fault)
  }
}

function stepOf({ method, path, query = {} }: Request) {
  const what = Object.keys(query).filter((key) => key !== 'x-id')
  const lasts = method !== 'GET' && method !== 'HEAD'
  return step('bucket', `${method} ${what.join(' ')} ${path.split('/').at(-2)}`, { lasts })
}

/** The answer has come, and nobody will hear it. */
async function forgotten({ response: { body } }: Answer) {
  if (body instanceof Readable) for await (const _ of body);
}

const refused = (statusCode: number, code: string): Answer => {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`
  const headers = { 'content-type': 'application/xml', 'content-length': `${body.length}` }
  return { response: { statusCode, headers, body: Readable.from([Buffer.from(body)]) } }
}

function netFault(fault: Fault) {
  if (fault === 'TIMEOUT')
    return Object.assign(new Error('no answer came in time'), { name: 'TimeoutError' })
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' })
}
