import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Handler } from '../request-context.ts'
import { exampleTabs } from './graphiql-examples.ts'

type Encoding = 'br' | 'gzip'
type Page = { body: Buffer; headers: Record<string, string> }

/** Reports whether a browser requests the page, rather than a client that sends a query. */
export const acceptsHtml = ({ method, headers }: IncomingMessage) =>
  (method === 'GET' || method === 'HEAD') && headers.accept?.includes('text/html') === true

/** Creates the handler of the GraphiQL page (9 MB), rendered and compressed on the first request. */
export function createGraphiqlHandler(): Handler {
  const page = once(renderPage)
  const compressed = {
    br: once(async () => promisify(brotliCompress)((await page()).body, brotliOptions)),
    gzip: once(async () => promisify(gzip)((await page()).body)),
  }
  return {
    async handle(req, res) {
      const { body, headers } = await page()
      if (req.headers['if-none-match'] === headers.ETag) return res.writeHead(304, headers).end()
      const encoding = encodingOf(req)
      const bytes = encoding ? await compressed[encoding]() : body
      res.writeHead(200, {
        ...headers,
        ...(encoding && { 'Content-Encoding': encoding }),
        'Content-Type': 'text/html; charset=utf-8',
        'Content-Length': bytes.length,
      })
      return res.end(req.method === 'HEAD' ? undefined : bytes)
    },
  }
}

const brotliOptions = { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }

async function renderPage(): Promise<Page> {
  // Loaded on demand, because it is larger than all other modules together.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const body = Buffer.from(renderGraphiQL({ title: 'Holdall', ...exampleTabs }))
  const ETag = `"${createHash('sha256').update(body).digest('base64url')}"`
  const headers = {
    // Weak, because the page is served in three encodings.
    ETag: `W/${ETag}`,
    Vary: 'Accept, Accept-Encoding',
    'Cache-Control': 'no-cache',
    'Content-Security-Policy': policy,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  }
  return { body, headers }
}

/** Allows inline scripts and styles, workers from blobs, and requests to this server only. */
const policy = [
  "default-src 'none'",
  "script-src 'unsafe-inline' blob:",
  'worker-src blob:',
  "style-src 'unsafe-inline'",
  'img-src data:',
  'font-src data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

function encodingOf({ headers }: IncomingMessage): Encoding | undefined {
  const accepted = (headers['accept-encoding'] ?? '')
    .toString()
    .split(',')
    .map((word) => word.trim())
  return (['br', 'gzip'] as const).find((encoding) => accepted.includes(encoding))
}

/** Returns a function that calls `make` once and returns its result from then on. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => {
    result ??= make()
    return result
  }
}
