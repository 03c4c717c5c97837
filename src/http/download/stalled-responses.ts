import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { LEAST_PER_SECOND } from '../tus/receive-body.ts'

const LOOKS = 4

/**
 * Ends responses whose client does not read them: while data waits, each has to take LEAST_PER_SECOND over `paceMs`. A download goes on
 * with Range, a subscription with its last cursor. By looks and not by the clock: a process that stood still has not written either.
 */
export function endStalledResponses(open: Iterable<ServerResponse>, paceMs: number): Disposable {
  const least = (LEAST_PER_SECOND * paceMs) / 1000
  /** Bytes taken at the last looks, of responses that had data waiting at each of them. */
  const seen = new WeakMap<ServerResponse, number[]>()

  function look(res: ServerResponse) {
    const { socket } = res
    if (!socket || !isWaiting(res, socket)) return seen.delete(res)
    const looks = seen.get(res) ?? []
    const taken = bytesTaken(res)
    if (looks.push(taken) > LOOKS && taken - (looks.shift() ?? 0) < least) return res.destroy()
    return seen.set(res, looks)
  }

  const timer = setInterval(() => {
    for (const res of open) look(res)
  }, paceMs / LOOKS).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** What libuv knows of a connection. A chunk that is written in parts is no progress to any public counter until its end. */
type Handle = { bytesWritten?: number; writeQueueSize?: number }
const handleOf = (socket: Socket) => (socket as { _handle?: Handle | null })._handle

const isWaiting = (res: ServerResponse, socket: Socket) =>
  res.writableLength > 0 || (handleOf(socket)?.writeQueueSize ?? 0) > 0

/** Bytes of the connection of a response that the kernel has taken. */
export function bytesTaken({ socket }: ServerResponse): number {
  const handle = socket && handleOf(socket)
  return (handle?.bytesWritten ?? socket?.bytesWritten ?? 0) - (handle?.writeQueueSize ?? 0)
}
