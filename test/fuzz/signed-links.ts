import fc from 'fast-check'
import type { Ground } from './fuzz-server.ts'
import type { Subject } from './runs.ts'
import { near, text } from './texts.ts'
import { insist, sound } from './verify-answer.ts'
import { ask } from './wire.ts'

type Kind = keyof Ground['links']
type Link = { kind: Kind; path: string; method: string; query: string; password: string | null }

const bent = (path: string) => {
  const parts = path.split('/')
  const at = parts.findIndex((part) => part.length > 21)
  return near(fc.constant(parts[at] ?? '')).map((token) => parts.with(at, token).join('/'))
}
/** As a URL carries it; what it would carry otherwise stays escaped. */
const asPath = (path: string) =>
  encodeURI(path.toWellFormed())
    .replace(/[?#]/g, encodeURIComponent)
    .replace(/%25([0-9a-f]{2})/gi, '%$1')
const tokenIn = (path: string) => path.split('/').find((part) => part.length > 21)

/** Signed links with something changed: what is not the link itself opens nothing. */
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
        path: fc.oneof(bent(links[kind]), near(fc.constant(links[kind]))).map(asPath),
        query: fc.oneof(
          fc.constantFrom('', '?disposition=inline', '?folder=x', '?after=x', '?format=csv'),
          text.map((some) => asPath(`?${some}`).replace('%3F', '?')),
        ),
        password: fc.option(text.map((some) => some.replace(/[^\t\x20-\x7e]/g, '?'))),
      }),
    ),
  async check(ground, { kind, path, method, query, password }) {
    if (!path.startsWith('/')) return false
    const headers = password === null ? {} : { 'Holdall-Share-Password': password }
    const isPut = kind === 'put' && method === 'PUT'
    // The right URL would be spent with its first use.
    if (isPut && path === ground.links.put) return false
    const body = method === 'PUT' ? 'abcd' : undefined
    const answer = sound(
      await ask(ground, { method, path: path + query, headers, body, token: null }),
    )
    const isOpen =
      answer.status < 300 && /^\/(download|s|uploads)\//.test(path) && method !== 'OPTIONS'
    const decoded = path.split('/').map((part) => part)
    const isRight = decoded.includes(tokenIn(ground.links[kind]) ?? '')
    if (isOpen) insist(isRight, `${method} ${path} opened ${answer.body.toString().slice(0, 100)}`)
    return isOpen
  },
}
