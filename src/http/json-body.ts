import type { IncomingMessage } from 'node:http'
import { GraphQLError } from 'graphql'

/** A parsed request body, or the error that rejects it. */
export type JsonBody = { body: object } | { refusal: GraphQLError }

const JSON_TYPE = /^application\/(graphql\+)?json$/

/** Reports whether a content type is JSON. Yoga also accepts types that an HTML form of any page can send. */
export function isJsonType(contentType: string | null | undefined): boolean {
  const [type = ''] = (contentType ?? '').split(/[;,]/)
  return JSON_TYPE.test(type.trim())
}

/**
 * Reads a JSON body of at most `maxBytes` bytes. Yoga reads bodies through two Web streams, which takes
 * longer than everything else it does for a small query.
 */
export async function readJson(req: IncomingMessage, maxBytes: number): Promise<JsonBody> {
  const text =
    Number(req.headers['content-length'] ?? 0) > maxBytes ? null : await readText(req, maxBytes)
  if (text === null) {
    return rejected(413, 'REQUEST_ENTITY_TOO_LARGE', `the request body exceeds ${maxBytes} bytes`)
  }
  const body = parsed(text)
  if (body !== undefined) return { body }
  return rejected(400, 'BAD_REQUEST', 'the body must be a non-empty JSON object')
}

/** Returns null if the body exceeds `maxBytes`; the rest of it stays unread. */
function readText(req: IncomingMessage, maxBytes: number): Promise<string | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const finish = (text: string | null) => {
      req.off('data', onData)
      resolve(text)
    }
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > maxBytes) finish(null)
    }
    req.on('data', onData)
    req.once('end', () => finish(Buffer.concat(chunks).toString()))
    // The client has closed the connection, so the result is never sent.
    req.once('error', () => finish(''))
  })
}

function parsed(text: string): object | undefined {
  try {
    const body: unknown = JSON.parse(text)
    return isFilled(body) ? body : undefined
  } catch {
    return undefined
  }
}

const isFilled = (body: unknown): body is object =>
  typeof body === 'object' && body !== null && Object.keys(body).length > 0

const rejected = (status: number, code: string, message: string) => ({
  refusal: new GraphQLError(message, { extensions: { code, http: { status } } }),
})
