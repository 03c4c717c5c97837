import type { IncomingMessage } from 'node:http'
import { isIP, isIPv6 } from 'node:net'

/** Returns the last element of a forwarding header: proxies append, so it comes from the nearest proxy. */
export const lastHop = (header: string | string[] | undefined) =>
  header?.toString().split(',').at(-1)?.trim() || undefined

/** Returns the first element of a forwarding header, which the proxy nearest to the client has set. */
export const firstHop = (header: string | string[] | undefined) =>
  header?.toString().split(',', 1)[0]?.trim() || undefined

/**
 * Returns the client address of a request. X-Forwarded-For counts only behind a trusted proxy. An IPv6
 * address is reduced to its /64 network, because a client with one such address can use all the others of
 * the network.
 */
export function addressOf({ headers, socket }: IncomingMessage, trustProxy: boolean): string {
  const forwarded = trustProxy ? ipIn(lastHop(headers['x-forwarded-for'])) : undefined
  return networkOf(forwarded ?? socket.remoteAddress ?? '')
}

/** Some proxies add the port: 203.0.113.7:4711, [2001:db8::7]:4711. */
function ipIn(word = ''): string | undefined {
  const bare = /^\[(.+)\](?::\d+)?$/.exec(word)?.[1] ?? /^([\d.]+):\d+$/.exec(word)?.[1] ?? word
  return isIP(bare) ? bare : undefined
}

/** Returns an IPv4 address unchanged and the /64 network of an IPv6 address. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (mapped || !isIPv6(address)) return mapped ?? address
  const [head = [], tail = []] = address.split('::').map((half) => half.split(':').filter(Boolean))
  const zeros = Array(Math.max(8 - head.length - tail.length, 0)).fill('0')
  const groups = [...head, ...zeros, ...tail].slice(0, 4)
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}
