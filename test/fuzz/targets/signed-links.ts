import fc from 'fast-check'
import type { FuzzServer } from '../fuzz-server.ts'
import { mutated, text } from '../inputs/texts.ts'
import type { Subject } from '../runs.ts'
import { assertInvariant, checkResponse } from '../verify-answer.ts'
import { sendRequest } from '../wire.ts'

type Kind = keyof FuzzServer['links']
type Link = { kind: Kind; path: string; method: string; query: string; password: string | null }

const mutatedPath = (path: string) => {
  const parts = path.split('/')
  const at = parts.findIndex((part) => part.length > 21)
  return mutated(fc.constant(parts[at] ?? '')).map((token) => parts.with(at, token).join('/'))
}
/** Encodes a path for a URL and keeps existing percent escapes. */
const asPath = (path: string) =>
  encodeURI(path.toWellFormed())
    .replace(/[?#]/g, encodeURIComponent)
    .replace(/%25([0-9a-f]{2})/gi, '%$1')
const tokenIn = (path: string) => path.split('/').find((part) => part.length > 21)

/** Mutated signed links: only the unchanged link opens anything. */
export const signedLinks: Subject<Link> = {
  name: 'signed links',
  rows: 'S28',
  cases: ({ links }) =>
    fc.constantFrom(...(Object.keys(links) as Kind[])).chain((kind) =>
      fc.record({
        ...{
          kind: fc.constant(kind),
          method: fc.constantFrom('GET', 'GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'PATCH'),
        },
        path: fc.oneof(mutatedPath(links[kind]), mutated(fc.constant(links[kind]))).map(asPath),
        query: fc.oneof(
          fc.constantFrom('', '?disposition=inline', '?folder=x', '?after=x', '?format=csv'),
          text.map((some) => asPath(`?${some}`).replace('%3F', '?')),
        ),
        password: fc.option(text.map((some) => some.replace(/[^\t\x20-\x7e]/g, '?'))),
      }),
    ),
  async check(server, { kind, path, method, query, password }) {
    if (!path.startsWith('/')) return false
    const headers = password === null ? {} : { 'Holdall-Share-Password': password }
    const isPut = kind === 'put' && method === 'PUT'
    // A PUT to the unchanged URL would use it up.
    if (isPut && path === server.links.put) return false
    const body = method === 'PUT' ? 'abcd' : undefined
    const answer = checkResponse(
      await sendRequest(server, { method, path: path + query, headers, body, token: null }),
    )
    const isOpen =
      answer.status < 300 && /^\/(download|s|uploads)\//.test(path) && method !== 'OPTIONS'
    const decoded = path.split('/').map((part) => part)
    const isUnchanged = decoded.includes(tokenIn(server.links[kind]) ?? '')
    if (isOpen)
      assertInvariant(
        isUnchanged,
        `${method} ${path} opened ${answer.body.toString().slice(0, 100)}`,
      )
    return isOpen
  },
}
