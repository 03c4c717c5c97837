import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { MIN_BYTES_PER_SECOND } from '../tus/receive-body.ts'

const SAMPLES_PER_PERIOD = 4

/**
 * Destroys responses whose client does not read them: while data is queued, a client must read
 * MIN_BYTES_PER_SECOND over `paceMs`. A download can be resumed with Range, a subscription with its last
 * cursor. Counts samples instead of elapsed time, because a process that was suspended has not written
 * either.
 */
export function endStalledResponses(open: Iterable<ServerResponse>, paceMs: number): Disposable {
  const minBytes = (MIN_BYTES_PER_SECOND * paceMs) / 1000
  /** Bytes sent at the last samples, for responses that had queued data at each of them. */
  const samplesOf = new WeakMap<ServerResponse, number[]>()

  function sample(res: ServerResponse) {
    const { socket } = res
    if (!socket || !hasQueuedData(res, socket)) return samplesOf.delete(res)
    const samples = samplesOf.get(res) ?? []
    const sentBytes = sentBytesOf(res)
    if (
      samples.push(sentBytes) > SAMPLES_PER_PERIOD &&
      sentBytes - (samples.shift() ?? 0) < minBytes
    )
      return res.destroy()
    return samplesOf.set(res, samples)
  }

  const timer = setInterval(() => {
    for (const res of open) sample(res)
  }, paceMs / SAMPLES_PER_PERIOD).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** Counters of libuv. The public counters do not change while a chunk is written in parts. */
type Handle = { bytesWritten?: number; writeQueueSize?: number }
const handleOf = (socket: Socket) => (socket as { _handle?: Handle | null })._handle

const hasQueuedData = (res: ServerResponse, socket: Socket) =>
  res.writableLength > 0 || (handleOf(socket)?.writeQueueSize ?? 0) > 0

/** Returns the number of bytes that the kernel has accepted on the connection of a response. */
export function sentBytesOf({ socket }: ServerResponse): number {
  const handle = socket && handleOf(socket)
  return (handle?.bytesWritten ?? socket?.bytesWritten ?? 0) - (handle?.writeQueueSize ?? 0)
}
