import type { IncomingMessage } from 'node:http'
import { GraphQLError } from 'graphql'

/** What a body brought: the object or list in it, or why it is not taken. */
export type JsonBody = { body: object } | { refusal: GraphQLError }

const JSON_TYPE = /^application\/(graphql\+)?json$/

/** Not the other types that Yoga would take, which a form of any page can send. */
export function isJsonType(contentType: string | null | undefined): boolean {
  const [type = ''] = (contentType ?? '').split(/[;,]/)
  return JSON_TYPE.test(type.trim())
}

/**
 * Reads a body of JSON, of at most `most` bytes. Yoga would do it through two Web streams, which takes longer than all else it does with
 * a small query.
 */
export async function readJson(req: IncomingMessage, most: number): Promise<JsonBody> {
  const text = Number(req.headers['content-length'] ?? 0) > most ? null : await readText(req, most)
  if (text === null) {
    return refused(413, 'REQUEST_ENTITY_TOO_LARGE', `a request has at most ${most} bytes`)
  }
  const body = parsed(text)
  if (body !== undefined) return { body }
  return refused(400, 'BAD_REQUEST', 'the body is not a JSON object that has something in it')
}

/** Null where it is longer; the rest of it is left to whoever answers. */
function readText(req: IncomingMessage, most: number): Promise<string | null> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const end = (text: string | null) => {
      req.off('data', take)
      resolve(text)
    }
    const take = (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > most) end(null)
    }
    req.on('data', take)
    req.once('end', () => end(Buffer.concat(chunks).toString()))
    // Nobody is there any more to be told.
    req.once('error', () => end(''))
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

const refused = (status: number, code: string, message: string) => ({
  refusal: new GraphQLError(message, { extensions: { code, http: { status } } }),
})
