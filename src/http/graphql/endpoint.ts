import type { ServerResponse } from 'node:http'
import { useCSRFPrevention } from '@graphql-yoga/plugin-csrf-prevention'
import { type ExecutionArgs, GraphQLError } from 'graphql'
import { createYoga, type Plugin } from 'graphql-yoga'
import type { App } from '../../app.ts'
import { ExecutionBudget } from '../../graphql/budget.ts'
import type { Context } from '../../graphql/context.ts'
import { checkDocumentLimits, costOf, parseWithin, validateCapped } from '../../graphql/limits.ts'
import type { Log } from '../../log.ts'
import { schema } from '../../schema.ts'
import { isJsonType, readJson } from '../json-body.ts'
import type { Handler, RequestContext } from '../request-context.ts'
import { collapseComplexityErrors, setStatuses, toGraphQLError, unavailable } from './errors.ts'
import { useIntrospection } from './introspection.ts'
import { type NodeVisit, useSubscriptions } from './subscriptions.ts'

const MAX_BODY_BYTES = 1_000_000

/** Headers that a page of another origin cannot send without asking first. */
const preflighted = ['authorization', 'graphql-require-preflight']

/** GraphQL over HTTP: POST for everything, GET for queries, JSON in and out, one operation at a time. */
export function graphqlDoor({ log, config }: Pick<App, 'log' | 'config'>): Handler {
  const closing = new AbortController()
  let refuses = false
  const yoga = createYoga<RequestContext & { refusal?: GraphQLError }, Context>({
    schema,
    context: async ({ scope, requestId, address, toll }) => ({
      ...(await scope()),
      budget: new ExecutionBudget(config.limits),
      requestId,
      address,
      rateLimit: toll.standing,
      report: (err: unknown) => log.error({ err, requestId }, 'fault'),
    }),
    maskedErrors: { maskError: (error) => toGraphQLError(error, log) },
    plugins: [
      useCSRFPrevention({ requestHeaders: preflighted }),
      useJsonOnly(),
      useLimits(),
      useToll(log),
      useBudget(),
      useIntrospection(config.introspection),
      useStatuses(),
      useSubscriptions({ trustProxy: config.trustProxy, closing: closing.signal }),
    ],
    // readJson sees to it.
    maxRequestBodySize: false,
    batching: false,
    // cors.ts does it for all doors, graphiql.ts brings the page.
    cors: false,
    graphiql: false,
    landingPage: false,
    multipart: false,
    logging: false,
  })
  return {
    async handle(req, res, visit) {
      // What a token may see is nothing for a cache on the way, whatever the address looks like.
      res.setHeader('Cache-Control', 'no-store')
      res.setHeader('X-Content-Type-Options', 'nosniff')
      if (refuses) return yoga(req, res, { ...visit, refusal: unavailable() })
      const hasJson = req.method === 'POST' && isJsonType(req.headers['content-type'])
      const asked = hasJson ? await readJson(req, MAX_BODY_BYTES) : {}
      return yoga(Object.assign(req, asked), res, { ...visit, ...asked })
    },
    drain: () => closing.abort(),
    refuse() {
      refuses = true
    },
  }
}

function useJsonOnly(): Plugin<object, { refusal?: GraphQLError }> {
  return {
    onRequestParse({ request: { method, headers, url }, serverContext: { refusal } }) {
      if (refusal) throw refusal
      if (method === 'GET') return checkQuery(new URL(url).searchParams)
      if (method !== 'POST' || isJsonType(headers.get('content-type'))) return
      throw badRequest(415, 'Content-Type: application/json is needed')
    },
  }
}

/** Yoga takes what stands in a URL for JSON, and where it is none, for a fault of the house. */
function checkQuery(said: URLSearchParams) {
  for (const name of ['variables', 'extensions']) {
    if (!isJson(said.get(name) || 'null')) throw badRequest(400, `${name} is not JSON`)
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

/** Before validation, whose rules cost most on the documents that they should refuse. */
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

/** One point for coming in, so that nonsense is not free; the rest when it is known what is asked. */
function useToll(log: Log): Plugin<Context & RequestContext> {
  return {
    async onParams({ context, setResult }) {
      const { toll } = context as unknown as RequestContext
      await toll.pay(1).catch((error) => setResult({ errors: [toGraphQLError(error, log)] }))
    },
    onExecute: ({ args }) => payRest(args),
    onSubscribe: ({ args }) => payRest(args),
  }
}

/** What costs more than anybody may ask for is not run, and so not paid. */
async function payRest(args: ExecutionArgs) {
  const { toll, limits } = args.contextValue as Context & RequestContext
  const cost = costOf(args)
  if (cost <= limits.maxQueryCost) await toll.pay(cost - 1)
}

/** Stops an execution that has produced too much or taken too long, or whose client has gone. */
function useBudget(): Plugin<Context & NodeVisit> {
  return {
    onExecute({ executeFn, setExecuteFn }) {
      setExecuteFn(async (args: ExecutionArgs) => {
        const { budget, limits, res } = args.contextValue as Context & NodeVisit
        using _ = stopWhenOver(budget, res, limits.requestTimeoutMs)
        return await budget.run(() => executeFn(args))
      })
    },
  }
}

/** At the deadline, and where the connection closes before the answer. */
function stopWhenOver(budget: ExecutionBudget, res: ServerResponse, timeoutMs: number): Disposable {
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
