import type { TestServer } from './test-server.ts'

type Options = { token?: string | null; method?: 'POST' | 'GET'; headers?: Record<string, string> }
export type SseEvent = { event: string; data: any }

/** A subscription over Server-Sent Events, as a client that knows nothing of this server reads it. */
export async function openStream(
  holdall: TestServer,
  query: string,
  variables: Record<string, unknown> = {},
  { token, method = 'POST', headers = {} }: Options = {},
) {
  const gone = new AbortController()
  const said = new URLSearchParams({ query, variables: JSON.stringify(variables) })
  const body = JSON.stringify({ query, variables })
  const response = await holdall.http(method === 'GET' ? `/graphql?${said}` : '/graphql', {
    method,
    headers: {
      accept: 'text/event-stream',
      ...(method === 'POST' && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(method === 'POST' && { body }),
    ...(token !== undefined && { token }),
    signal: gone.signal,
  })
  const blocks = blocksOf(response)
  return {
    response,
    /** The next event, pings left out; null when the server has ended the stream. */
    async next(ms = 10_000): Promise<SseEvent | null> {
      for (;;) {
        const { done, value } = await within(ms, blocks.next())
        if (done) return null
        if (!value.startsWith(':')) return eventIn(value)
      }
    },
    /** The next block as it came, pings too. */
    raw: async (ms = 20_000) => (await within(ms, blocks.next())).value ?? null,
    /** Cuts the connection, as a client that is killed. */
    kill: () => gone.abort(),
    [Symbol.dispose]: () => gone.abort(),
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

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`nothing came within ${ms} ms`)), ms)
  return Promise.race([promise, late.promise]).finally(() => clearTimeout(timer))
}
