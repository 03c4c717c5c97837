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
import { QueryTooComplex } from '../../errors.ts'
import { ExecutionBudget } from '../../graphql/budget.ts'
import type { Context } from '../../graphql/context.ts'
import { costOf } from '../../graphql/limits.ts'
import { addressOf } from '../client-address.ts'
import { atOnce } from '../limits/concurrency-limit.ts'
import type { RequestContext } from '../request-context.ts'
import { unavailable } from './errors.ts'
import { sendEvents } from './sse.ts'

/** So many streams may a token have open at once, and so many an address without one. */
const MOST_STREAMS = 50

/** A request as Yoga's plugins see it. */
export type NodeVisit = RequestContext & { req: IncomingMessage; res: ServerResponse }
type Options = { trustProxy: boolean; closing: AbortSignal }

/**
 * Subscriptions over Server-Sent Events. When shutdown begins, open ones end without `complete`, so that clients reconnect, and new
 * ones are refused as UNAVAILABLE.
 */
export function useSubscriptions({ trustProxy, closing }: Options): Plugin<Context & NodeVisit> {
  const streams = atOnce(MOST_STREAMS)
  const callerOf = ({ viewer, req }: Context & NodeVisit) =>
    viewer ? `token ${viewer.tokenId}` : `address ${addressOf(req, trustProxy)}`

  return {
    onSubscribe({ args, setSubscribeFn }) {
      if (closing.aborted) throw unavailable()
      refuseDear(args)
      streams.admit(callerOf(args.contextValue), args.contextValue.res)
      setSubscribeFn(subscribe)
    },
    onResultProcess({ result, resultProcessor, serverContext, setResultProcessor }) {
      // Without a processor the client accepts no event stream: 406.
      if (!resultProcessor || !(Symbol.asyncIterator in result)) return
      const { res } = serverContext as unknown as NodeVisit
      const send = async (_: unknown, { Response }: { Response: typeof globalThis.Response }) => {
        await sendEvents(res, lines(result), closing)
        // Yoga finds the answer ended, and leaves it alone.
        return new Response(null)
      }
      setResultProcessor(send, 'text/event-stream')
    },
  }
}

/** What each event would cost is known before the first. */
function refuseDear(args: ExecutionArgs) {
  const { limits } = args.contextValue as Context
  const cost = costOf(args)
  if (cost <= limits.maxQueryCost) return
  throw new QueryTooComplex(`each event costs ${cost}; at most ${limits.maxQueryCost} is answered`)
}

/** As graphql does it, with a context of its own for each event: what loaders remember is what was so at the event before. */
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

/** Each result as JSON. */
const lines = (results: AsyncIterable<ExecutionResult>): AsyncIterable<string> => ({
  [Symbol.asyncIterator]() {
    const steps = results[Symbol.asyncIterator]()
    return {
      async next() {
        const { done, value } = await steps.next()
        return done ? { done, value } : { value: line(value) }
      },
      async return() {
        await steps.return?.()
        return { done: true, value: undefined }
      },
    }
  },
})

const line = ({ errors, ...result }: ExecutionResult) =>
  JSON.stringify({ ...(errors && { errors: errors.map(shown) }), ...result })

/** Without what the extensions tell the door alone. */
function shown(error: GraphQLError) {
  const { extensions: { http: _, ...extensions } = {}, ...told } = error.toJSON()
  return { ...told, extensions }
}
