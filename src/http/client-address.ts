import type { IncomingMessage } from 'node:http'
import { isIP, isIPv6 } from 'node:net'

/** Proxies append: what the nearest one has seen stands last. */
export const lastHop = (header: string | string[] | undefined) =>
  header?.toString().split(',').at(-1)?.trim() || undefined

/**
 * Where a request comes from: X-Forwarded-For only of a trusted proxy. Of IPv6 the first 64 bits, since whoever has one such
 * address has all the others of its network.
 */
export function addressOf({ headers, socket }: IncomingMessage, trustProxy: boolean): string {
  const told = trustProxy ? ipIn(lastHop(headers['x-forwarded-for'])) : undefined
  return networkOf(told ?? socket.remoteAddress ?? '')
}

/** Some proxies add the port: 203.0.113.7:4711, [2001:db8::7]:4711. */
function ipIn(word = ''): string | undefined {
  const bare = /^\[(.+)\](?::\d+)?$/.exec(word)?.[1] ?? /^([\d.]+):\d+$/.exec(word)?.[1] ?? word
  return isIP(bare) ? bare : undefined
}

/** An IPv4 address as it is, of an IPv6 address its network. */
export function networkOf(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (mapped || !isIPv6(address)) return mapped ?? address
  const [head = [], tail = []] = address.split('::').map((half) => half.split(':').filter(Boolean))
  const zeros = Array(Math.max(8 - head.length - tail.length, 0)).fill('0')
  const groups = [...head, ...zeros, ...tail].slice(0, 4)
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}
