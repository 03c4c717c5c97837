import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Handler } from '../request-context.ts'
import { exampleTabs } from './graphiql-examples.ts'

type Encoding = 'br' | 'gzip'
type Page = { body: Buffer; headers: Record<string, string> }

/** A browser that was sent to /graphql, not a client that asks something. */
export const acceptsHtml = ({ method, headers }: IncomingMessage) =>
  (method === 'GET' || method === 'HEAD') && headers.accept?.includes('text/html') === true

/** GraphiQL without a CDN: 9 MB of page, made when first asked for, compressed once, then kept. */
export function graphiqlDoor(): Handler {
  const page = once(makePage)
  const compressed = {
    br: once(async () => promisify(brotliCompress)((await page()).body, quickly)),
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

const quickly = { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }

async function makePage(): Promise<Page> {
  // Loaded here and not at the start: it is most of what the house would have to read.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const body = Buffer.from(renderGraphiQL({ title: 'Holdall', ...exampleTabs }))
  const ETag = `"${createHash('sha256').update(body).digest('base64url')}"`
  const headers = {
    // Weak, since the same page goes out in three encodings.
    ETag: `W/${ETag}`,
    Vary: 'Accept, Accept-Encoding',
    'Cache-Control': 'no-cache',
    'Content-Security-Policy': policy,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  }
  return { body, headers }
}

/** One page with its scripts and styles in line, and workers made of them; it talks to nobody but this house. */
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

/** `make`, but only when first called. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}
