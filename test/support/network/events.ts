import type { TestServer } from '../servers/test-server.ts'

type Options = {
  token?: string | null
  method?: 'POST' | 'GET'
  headers?: Record<string, string>
  /** The extensions of the request, sent by POST. */
  extensions?: object
}
export type SseEvent = { event: string; data: any }

/** Opens a subscription over Server-Sent Events, as a generic client does. */
export async function openStream(
  holdall: TestServer,
  query: string | undefined,
  variables: Record<string, unknown> = {},
  { token, method = 'POST', headers = {}, extensions }: Options = {},
) {
  const aborted = new AbortController()
  const parameters = new URLSearchParams({
    query: query ?? '',
    variables: JSON.stringify(variables),
  })
  const body = JSON.stringify({ query, variables, extensions })
  const response = await holdall.http(method === 'GET' ? `/graphql?${parameters}` : '/graphql', {
    method,
    headers: {
      accept: 'text/event-stream',
      ...(method === 'POST' && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(method === 'POST' && { body }),
    ...(token !== undefined && { token }),
    signal: aborted.signal,
  })
  const blocks = blocksOf(response)
  return {
    response,
    /** Returns the next event, without pings; null if the server has ended the stream. */
    async next(ms = 10_000): Promise<SseEvent | null> {
      for (;;) {
        const { done, value } = await withTimeout(ms, blocks.next())
        if (done) return null
        if (!value.startsWith(':')) return eventIn(value)
      }
    },
    /** Returns the next block unparsed, pings included. */
    raw: async (ms = 20_000) => (await withTimeout(ms, blocks.next())).value ?? null,
    /** Aborts the connection, as a killed client does. */
    kill: () => aborted.abort(),
    [Symbol.dispose]: () => aborted.abort(),
  }
}

async function* blocksOf({ body }: Response): AsyncGenerator<string, undefined> {
  let text = ''
  const decoder = new TextDecoder()
  for await (const chunk of body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true })
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      yield text.slice(0, end)
      text = text.slice(end + 2)
    }
  }
}

function eventIn(block: string): SseEvent {
  const lines = block.split('\n').map((line) => line.split(/:(.*)/s))
  const field = (name: string) => lines.find(([key]) => key === name)?.[1]?.trim() ?? ''
  const data = field('data')
  return { event: field('event'), data: data ? JSON.parse(data) : null }
}

async function withTimeout<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`no event came within ${ms} ms`)), ms)
  return Promise.race([promise, late.promise]).finally(() => clearTimeout(timer))
}
