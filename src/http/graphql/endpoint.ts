import type { ServerResponse } from 'node:http'
import { useCSRFPrevention } from '@graphql-yoga/plugin-csrf-prevention'
import { type ExecutionArgs, GraphQLError } from 'graphql'
import { createYoga, type Plugin } from 'graphql-yoga'
import type { App } from '../../app.ts'
import type { Context } from '../../graphql/context.ts'
import {
  checkDocumentLimits,
  costOf,
  parseWithin,
  validateCapped,
} from '../../graphql/limits/document-limits.ts'
import { ExecutionBudget } from '../../graphql/limits/execution-budget.ts'
import type { Log } from '../../log.ts'
import { schema } from '../../schema.ts'
import { isJsonType, readJson } from '../json-body.ts'
import type { Handler, RequestContext } from '../request-context.ts'
import { collapseComplexityErrors, setStatuses, toGraphQLError, unavailable } from './errors.ts'
import { useIntrospection } from './introspection.ts'
import { useOperationName } from './operation-name.ts'
import { usePersistedDocuments } from './persisted-documents.ts'
import { type NodeRequestContext, useSubscriptions } from './subscriptions.ts'

const MAX_BODY_BYTES = 1_000_000

/** Headers that a page of another origin cannot send without a CORS preflight. */
const csrfHeaders = ['authorization', 'graphql-require-preflight']

/**
 * Creates the GraphQL over HTTP handler: POST for all operations, GET for queries, JSON only, no batching.
 */
export function createGraphqlHandler({ log, config }: Pick<App, 'log' | 'config'>): Handler {
  const closing = new AbortController()
  let rejectsAll = false
  const yoga = createYoga<RequestContext & { refusal?: GraphQLError }, Context>({
    schema,
    context: async ({ authenticate, requestId, address, charge }) => ({
      ...(await authenticate()),
      budget: new ExecutionBudget(config.limits),
      requestId,
      address,
      rateLimit: charge.state,
      report: (err: unknown) => log.error({ err, requestId }, 'storage error'),
    }),
    maskedErrors: { maskError: (error) => toGraphQLError(error, log) },
    plugins: [
      useCSRFPrevention({ requestHeaders: csrfHeaders }),
      useJsonOnly(),
      useLimits(),
      useOperationName(),
      useRateLimit(log),
      usePersistedDocuments(config.persistedDocuments),
      useBudget(),
      useIntrospection(config.introspection),
      useStatuses(),
      useSubscriptions({ trustProxy: config.trustProxy, closing: closing.signal }),
    ],
    // readJson limits the size of bodies.
    maxRequestBodySize: false,
    batching: false,
    // cors.ts sets CORS headers for all routes, and graphiql.ts serves the page.
    cors: false,
    graphiql: false,
    landingPage: false,
    multipart: false,
    logging: false,
  })
  return {
    async handle(req, res, context) {
      // Responses depend on the token, so no cache may store them.
      res.setHeader('Cache-Control', 'no-store')
      res.setHeader('X-Content-Type-Options', 'nosniff')
      if (rejectsAll) return yoga(req, res, { ...context, refusal: unavailable() })
      const hasJson = req.method === 'POST' && isJsonType(req.headers['content-type'])
      const parsed = hasJson ? await readJson(req, MAX_BODY_BYTES) : {}
      return yoga(Object.assign(req, parsed), res, { ...context, ...parsed })
    },
    drain: () => closing.abort(),
    refuse() {
      rejectsAll = true
    },
  }
}

function useJsonOnly(): Plugin<object, { refusal?: GraphQLError }> {
  return {
    onRequestParse({ request: { method, headers, url }, serverContext: { refusal } }) {
      if (refusal) throw refusal
      if (method === 'GET') return checkQuery(new URL(url).searchParams)
      if (method !== 'POST' || isJsonType(headers.get('content-type'))) return
      throw badRequest(415, 'the request must have Content-Type: application/json')
    },
  }
}

/** Rejects invalid JSON in the URL with 400. Yoga reports it as an internal error. */
function checkQuery(query: URLSearchParams) {
  for (const name of ['variables', 'extensions']) {
    if (!isJson(query.get(name) || 'null')) throw badRequest(400, `${name} is not JSON`)
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const badRequest = (status: number, message: string) =>
  new GraphQLError(message, { extensions: { code: 'BAD_REQUEST', http: { status } } })

/** Checks the limits before validation, which takes longest for the documents that it rejects. */
function useLimits(): Plugin {
  return {
    onParse({ setParseFn }) {
      setParseFn(parseWithin)
      return ({ result }) => {
        if (!(result instanceof Error)) checkDocumentLimits(result)
      }
    },
    onValidate: ({ setValidationFn }) => setValidationFn(validateCapped),
  }
}

/** Charges one point for each request, even an invalid one, and the rest once the cost is known. */
function useRateLimit(log: Log): Plugin<Context & RequestContext> {
  return {
    async onParams({ context }) {
      const { charge } = context as unknown as RequestContext
      await charge.consume(1).catch((error) => {
        throw toGraphQLError(error, log)
      })
    },
    onExecute: ({ args }) => chargeRest(args),
    onSubscribe: ({ args }) => chargeRest(args),
  }
}

/** Charges the rest of the cost. An operation above the limit is not executed and therefore not charged. */
async function chargeRest(args: ExecutionArgs) {
  const { charge, limits } = args.contextValue as Context & RequestContext
  const cost = costOf(args)
  if (cost <= limits.maxQueryCost) await charge.consume(cost - 1)
}

/** Stops an execution that exceeds its budget or its deadline, or whose client has closed the connection. */
function useBudget(): Plugin<Context & NodeRequestContext> {
  return {
    onExecute({ executeFn, setExecuteFn }) {
      setExecuteFn(async (args: ExecutionArgs) => {
        const { budget, limits, res } = args.contextValue as Context & NodeRequestContext
        using _ = stopOnTimeoutOrClose(budget, res, limits.requestTimeoutMs)
        return await budget.run(() => executeFn(args))
      })
    },
  }
}

/** Stops the budget at the deadline, or when the connection closes before the response ends. */
function stopOnTimeoutOrClose(
  budget: ExecutionBudget,
  res: ServerResponse,
  timeoutMs: number,
): Disposable {
  const deadline = budget.expireAfter(timeoutMs)
  const stop = () => budget.stop(new GraphQLError('the client has closed the connection'))
  res.once('close', stop)
  if (res.closed) stop()
  return {
    [Symbol.dispose]() {
      deadline[Symbol.dispose]()
      res.off('close', stop)
    },
  }
}

function useStatuses(): Plugin {
  return {
    onResultProcess({ result, setResult }) {
      if (Array.isArray(result) || Symbol.asyncIterator in result) return
      const errors = result.errors as readonly GraphQLError[] | undefined
      const refusal = collapseComplexityErrors(errors)
      if (refusal) setResult({ errors: [refusal] })
      setStatuses(refusal ? { errors: [refusal] } : { data: result.data, errors })
    },
  }
}
