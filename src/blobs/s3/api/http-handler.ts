import { Agent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'
import { NodeHttpHandler } from '@smithy/node-http-handler'

const CONNECT_TIMEOUT_MS = 5_000
/**
 * Timeout for the response header of CompleteMultipartUpload: some servers copy all parts before they
 * respond.
 */
const COMPLETE_TIMEOUT_MS = 300_000
/**
 * Timeout of its first attempt if the list of parts is short: every server has copied so few parts by then.
 */
const FIRST_COMPLETE_TIMEOUT_MS = 10_000
/** Size of the XML of about a hundred parts, which have at least 500 MiB in total. */
const SHORT_LIST_BYTES = 16 * 1024
/**
 * Idle timeout of a first attempt: a connection that was cut without notice is abandoned, and the next
 * attempt opens a new one.
 */
const FIRST_IDLE_TIMEOUT_MS = 3_000
/**
 * Idle timeout of a first attempt with a body: the kernel buffers a few megabytes, which a slow connection
 * sends without visible progress.
 */
const FIRST_BODY_IDLE_TIMEOUT_MS = 7_000
const LATER_IDLE_TIMEOUT_MS = 30_000
/** Idle timeout of a streamed body, which may wait for its sender; senders time out after a minute. */
const STREAM_IDLE_TIMEOUT_MS = 90_000
/** Shorter than the keep-alive timeout of common servers. */
const keepAlive = { keepAlive: true, keepAliveMsecs: 10_000, timeout: 20_000 }

export type BucketAgents = ReturnType<typeof openAgents>

/** Creates the connection pools of a bucket, for HTTP and HTTPS. */
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
 * Sends requests to a bucket with idle timeouts. The first attempt has a short one, so that a connection that
 * was cut without notice costs seconds; later attempts give a slow server more time.
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
      // A network failure that cuts one connection usually cuts the idle ones, too.
      if (error instanceof Error && error.name === 'TimeoutError') closeIdle(this.#agents)
      throw error
    }
  }

  #send(request: BucketRequest, options: Parameters<Handle>[1]): ReturnType<Handle> {
    const idleMs = this.#idleTimeoutOf(request)
    // A reader may pause, so only the response header has a timeout here; resumable-read.ts limits the body.
    if (request.method === 'GET')
      return this.#handlerFor(0).handle(request, { ...options, requestTimeout: idleMs })
    if (isComplete(request))
      return this.#handlerFor(0).handle(request, {
        ...options,
        requestTimeout: completeMs(request),
      })
    return this.#handlerFor(idleMs).handle(request, options)
  }

  override destroy(): void {
    for (const handler of this.#handlers.values()) handler.destroy()
  }

  #idleTimeoutOf(request: BucketRequest) {
    if (this.#isStreaming) return STREAM_IDLE_TIMEOUT_MS
    if (!isFirst(request)) return LATER_IDLE_TIMEOUT_MS
    return request.method === 'PUT' ? FIRST_BODY_IDLE_TIMEOUT_MS : FIRST_IDLE_TIMEOUT_MS
  }

  /** Returns a handler whose sockets may be idle for `socketTimeout` milliseconds; 0: no limit. */
  #handlerFor(socketTimeout: number) {
    const found = this.#handlers.get(socketTimeout)
    if (found) return found
    const handler = new NodeHttpHandler({
      // The agents have no limit of sockets, because each download holds one until its reader has finished.
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

/**
 * Returns the timeout of CompleteMultipartUpload in milliseconds, by the length of its body, the list of
 * parts.
 */
const completeMs = (request: BucketRequest) =>
  isFirst(request) && Buffer.byteLength(request.body ?? '') < SHORT_LIST_BYTES
    ? FIRST_COMPLETE_TIMEOUT_MS
    : COMPLETE_TIMEOUT_MS
