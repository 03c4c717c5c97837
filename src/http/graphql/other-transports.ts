import type { IncomingMessage } from 'node:http'
import { GraphQLError } from 'graphql'
import { HttpError } from '../errors.ts'

/** What a client of another transport must do. */
const useSse =
  'subscriptions are Server-Sent Events: send POST /graphql with Accept: text/event-stream (in graphql-sse the distinct connections mode)'

/**
 * Throws the error for a WebSocket handshake (RFC 6455, section 4.1). Other upgrades, such as h2c, may be
 * ignored.
 */
export function rejectWebSocket({ headers }: IncomingMessage): void {
  if (!/(^|,)\s*websocket\s*(,|$)/i.test(headers.upgrade ?? '')) return
  throw new HttpError(400, 'BAD_REQUEST', `WebSockets are not supported; ${useSse}`, {
    Connection: 'close',
  })
}

/** The path of the stream in the single connection mode of GraphQL over SSE. */
export const STREAM_PATH = '/graphql/stream'

/** Throws the error for a request of that mode: at its path, or a PUT, which reserves a stream. */
export function rejectSingleConnection({ method, url = '' }: IncomingMessage): void {
  const isAtPath = url.split('?', 1)[0] === STREAM_PATH
  const message = `the single connection mode is not supported; ${useSse}`
  if (isAtPath) throw new HttpError(404, 'NOT_FOUND', message)
  if (method === 'PUT')
    throw new HttpError(405, 'METHOD_NOT_ALLOWED', message, { Allow: 'GET, POST' })
}

/** Throws the error for a subscription whose client does not accept an event stream. */
export function requireEventStream({ headers }: IncomingMessage): void {
  const types = (headers.accept ?? '*/*').split(',').map((type) => type.split(';')[0]?.trim())
  if (types.some((type) => /^(\*|text)\/(\*|event-stream)$/i.test(type ?? ''))) return
  throw new GraphQLError(useSse, { extensions: { code: 'BAD_REQUEST', http: { status: 406 } } })
}
