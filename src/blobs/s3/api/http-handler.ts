import { Agent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'
import { NodeHttpHandler } from '@smithy/node-http-handler'

const CONNECT_TIMEOUT_MS = 5_000
/** Until the head of the answer to CompleteMultipartUpload: some servers copy all parts before they say a word. */
const COMPLETE_TIMEOUT_MS = 300_000
/** The same for the first attempt with so few parts that any server has copied them by then. */
const FIRST_COMPLETE_TIMEOUT_MS = 10_000
/** About a hundred parts, at least 500 MiB. */
const SHORT_LIST_BYTES = 16 * 1024
/** A connection whose other end has vanished without a word is given up this soon; the next attempt takes a new one. */
const FIRST_SILENCE_MS = 3_000
/** The kernel takes a few megabytes at once, and a thin line carries them while nothing is seen to move. */
const FIRST_BODY_SILENCE_MS = 7_000
const LATER_SILENCE_MS = 30_000
/** A body that is read while it is sent may wait for its sender, who is given up after a minute. */
const STREAM_SILENCE_MS = 90_000
/** Less than any server waits before it closes a connection that is idle. */
const keepAlive = { keepAlive: true, keepAliveMsecs: 10_000, timeout: 20_000 }

export type BucketAgents = ReturnType<typeof openAgents>

/** The connections to one bucket, over HTTP and HTTPS. */
export const openAgents = () => ({
  httpAgent: new Agent(keepAlive),
  httpsAgent: new TlsAgent(keepAlive),
})

function closeIdle({ httpAgent, httpsAgent }: BucketAgents) {
  for (const { freeSockets } of [httpAgent, httpsAgent])
    for (const sockets of Object.values(freeSockets))
      for (const socket of sockets ?? []) socket.destroy()
}

type Handle = NodeHttpHandler['handle']
type BucketRequest = Parameters<Handle>[0]

/**
 * Sends requests to a bucket, and gives up those that hear nothing for too long. The first attempt is impatient, so that a connection
 * which was cut without notice costs seconds; later ones leave a slow server its time.
 */
export class BucketHttpHandler extends NodeHttpHandler {
  readonly #agents: BucketAgents
  readonly #isStreaming: boolean
  readonly #handlers = new Map<number, NodeHttpHandler>()

  constructor(agents: BucketAgents, { isStreaming }: { isStreaming: boolean }) {
    super()
    this.#agents = agents
    this.#isStreaming = isStreaming
  }

  override async handle(
    request: BucketRequest,
    options: Parameters<Handle>[1] = {},
  ): ReturnType<Handle> {
    try {
      return await this.#send(request, options)
    } catch (error) {
      // What cut this connection without notice has cut those that wait for their next request, too.
      if (error instanceof Error && error.name === 'TimeoutError') closeIdle(this.#agents)
      throw error
    }
  }

  #send(request: BucketRequest, options: Parameters<Handle>[1]): ReturnType<Handle> {
    const silenceMs = this.#silenceOf(request)
    // A reader who pauses is no fault: only the head of the answer has a limit, and the body where it is read.
    if (request.method === 'GET')
      return this.#silentFor(0).handle(request, { ...options, requestTimeout: silenceMs })
    if (isComplete(request))
      return this.#silentFor(0).handle(request, { ...options, requestTimeout: completeMs(request) })
    return this.#silentFor(silenceMs).handle(request, options)
  }

  override destroy(): void {
    for (const handler of this.#handlers.values()) handler.destroy()
  }

  #silenceOf(request: BucketRequest) {
    if (this.#isStreaming) return STREAM_SILENCE_MS
    if (!isFirst(request)) return LATER_SILENCE_MS
    return request.method === 'PUT' ? FIRST_BODY_SILENCE_MS : FIRST_SILENCE_MS
  }

  /** Its socket may be without activity for so many milliseconds; 0: without a limit. */
  #silentFor(socketTimeout: number) {
    const found = this.#handlers.get(socketTimeout)
    if (found) return found
    const handler = new NodeHttpHandler({
      // Every download holds a socket for as long as its reader takes.
      ...this.#agents,
      connectionTimeout: CONNECT_TIMEOUT_MS,
      throwOnRequestTimeout: true,
      socketTimeout,
    })
    this.#handlers.set(socketTimeout, handler)
    return handler
  }
}

const isComplete = ({ method, query }: BucketRequest) =>
  method === 'POST' && query !== undefined && 'uploadId' in query

const isFirst = ({ headers }: BucketRequest) =>
  /^attempt=1\b/.test(headers['amz-sdk-request'] ?? '')

/** The body lists the parts. */
const completeMs = (request: BucketRequest) =>
  isFirst(request) && Buffer.byteLength(request.body ?? '') < SHORT_LIST_BYTES
    ? FIRST_COMPLETE_TIMEOUT_MS
    : COMPLETE_TIMEOUT_MS
