import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  executeSubscriptionEvent,
  type GraphQLError,
  mapSourceToResponseEvent,
  validateSubscriptionArgs,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { QueryTooComplex } from '../../errors/input.ts'
import type { Context } from '../../graphql/context.ts'
import { costOf } from '../../graphql/limits/document-limits.ts'
import { ExecutionBudget } from '../../graphql/limits/execution-budget.ts'
import { addressOf } from '../client-address.ts'
import { createConcurrencyLimit } from '../limits/concurrency-limit.ts'
import type { RequestContext } from '../request-context.ts'
import { unavailable } from './errors.ts'
import { requireEventStream } from './other-transports.ts'
import { sendEvents } from './sse.ts'

/** Maximum number of open streams of one token, or of one address without a token. */
const MAX_STREAMS_PER_CALLER = 50

/** The request context as Yoga passes it to plugins. */
export type NodeRequestContext = RequestContext & { req: IncomingMessage; res: ServerResponse }
type Options = { trustProxy: boolean; closing: AbortSignal }

/**
 * Serves subscriptions as Server-Sent Events. When shutdown begins, open streams end without `complete`, so
 * that clients reconnect, and new ones are rejected with UNAVAILABLE.
 */
export function useSubscriptions({
  trustProxy,
  closing,
}: Options): Plugin<Context & NodeRequestContext> {
  const streams = createConcurrencyLimit(MAX_STREAMS_PER_CALLER)
  const callerOf = ({ viewer, req }: Context & NodeRequestContext) =>
    viewer ? `token ${viewer.tokenId}` : `address ${addressOf(req, trustProxy)}`

  return {
    onSubscribe({ args, setSubscribeFn }) {
      if (closing.aborted) throw unavailable()
      requireEventStream(args.contextValue.req)
      assertEventCost(args)
      streams.admit(callerOf(args.contextValue), args.contextValue.res)
      setSubscribeFn(subscribe)
    },
    onResultProcess({ result, resultProcessor, serverContext, setResultProcessor }) {
      // Without a processor the client does not accept an event stream: 406.
      if (!resultProcessor || !(Symbol.asyncIterator in result)) return
      const { res } = serverContext as unknown as NodeRequestContext
      const send = async (_: unknown, { Response }: { Response: typeof globalThis.Response }) => {
        await sendEvents(res, jsonLines(result), closing)
        // Yoga ignores this response, because `res` has already ended.
        return new Response(null)
      }
      setResultProcessor(send, 'text/event-stream')
    },
  }
}

/** Throws QueryTooComplex if one event costs more than the limit. */
function assertEventCost(args: ExecutionArgs) {
  const { limits } = args.contextValue as Context
  const cost = costOf(args)
  if (cost <= limits.maxQueryCost) return
  throw new QueryTooComplex(`each event costs ${cost} points (limit ${limits.maxQueryCost})`)
}

/** Subscribes as graphql does, but with a new context per event, so that loaders reread rows. */
async function subscribe(args: ExecutionArgs) {
  const valid = validateSubscriptionArgs(args)
  if (!('schema' in valid)) return { errors: valid }
  const events = await createSourceEventStream(valid)
  if (!(Symbol.asyncIterator in events)) return events
  return mapSourceToResponseEvent(valid, events, (event) => {
    const context = event.contextValue as Context
    const budget = new ExecutionBudget(context.limits)
    return budget.run(() =>
      executeSubscriptionEvent({ ...event, contextValue: { ...context, budget } }),
    )
  })
}

/** Maps each result to a line of JSON. */
const jsonLines = (results: AsyncIterable<ExecutionResult>): AsyncIterable<string> => ({
  [Symbol.asyncIterator]() {
    const iterator = results[Symbol.asyncIterator]()
    return {
      async next() {
        const { done, value } = await iterator.next()
        return done ? { done, value } : { value: toJson(value) }
      },
      async return() {
        await iterator.return?.()
        return { done: true, value: undefined }
      },
    }
  },
})

const toJson = ({ errors, ...result }: ExecutionResult) =>
  JSON.stringify({ ...(errors && { errors: errors.map(publicError) }), ...result })

/** Removes `http` from the extensions, which is for the HTTP handler only. */
function publicError(error: GraphQLError) {
  const { extensions: { http: _, ...extensions } = {}, ...rest } = error.toJSON()
  return { ...rest, extensions }
}
