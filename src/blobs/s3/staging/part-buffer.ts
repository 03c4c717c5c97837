const SMALL = 1024 ** 2

export type BufferPool = ReturnType<typeof bufferPool>

/** Buffers of parts, used again and again: left to the garbage collector, they would be several times as many. */
export function bufferPool(mostBytes: number) {
  const idle: Buffer[] = []
  let idleBytes = 0
  return {
    take(bytes: number): Buffer {
      const at = idle.findIndex(({ length }) => length === bytes)
      const [found] = at === -1 ? [] : idle.splice(at, 1)
      if (found) idleBytes -= bytes
      return found ?? Buffer.allocUnsafeSlow(bytes)
    },
    /** Nobody may look at it any more. */
    give(buffer: Buffer) {
      if (idleBytes + buffer.length > mostBytes) return
      idleBytes += buffer.length
      idle.push(buffer)
    },
  }
}

/**
 * Bytes on their way to a part of at most `mostBytes`. Few are kept as they came, for there may be thousands of slow senders; more are
 * copied into one buffer at once, so that what the sockets brought is soon free.
 */
export function createPartBuffer(pool: BufferPool, mostBytes: number) {
  let chunks: Buffer[] = []
  let [length, gathered]: [number, Buffer | undefined] = [0, undefined]

  function gather() {
    const buffer = pool.take(mostBytes)
    Buffer.concat(chunks, length).copy(buffer)
    chunks = []
    return buffer
  }

  return {
    length: () => length,
    add(chunk: Buffer) {
      if (length + chunk.length > SMALL) gathered ??= gather()
      if (gathered) chunk.copy(gathered, length)
      else chunks.push(chunk)
      length += chunk.length
    },
    /** All of it; `releaseBuffers` once nobody looks at it any more. */
    take() {
      const used = gathered
      const bytes = used?.subarray(0, length) ?? Buffer.concat(chunks, length)
      ;[chunks, length, gathered] = [[], 0, undefined]
      return { bytes, giveBack: () => used && pool.give(used) }
    },
  }
}
