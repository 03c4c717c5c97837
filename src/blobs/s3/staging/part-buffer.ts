const MAX_CHUNKED_BYTES = 1024 ** 2

export type BufferPool = ReturnType<typeof createBufferPool>

/**
 * Reuses the buffers of parts: if only the garbage collector freed them, several times as many would exist.
 */
export function createBufferPool(maxBytes: number) {
  const idle: Buffer[] = []
  let idleBytes = 0
  return {
    take(bytes: number): Buffer {
      const at = idle.findIndex(({ length }) => length === bytes)
      const [found] = at === -1 ? [] : idle.splice(at, 1)
      if (found) idleBytes -= bytes
      return found ?? Buffer.allocUnsafeSlow(bytes)
    },
    /** Returns a buffer to the pool; the caller must no longer use it. */
    give(buffer: Buffer) {
      if (idleBytes + buffer.length > maxBytes) return
      idleBytes += buffer.length
      idle.push(buffer)
    },
  }
}

/**
 * Collects bytes for a part of at most `maxBytes`. Up to 1 MiB it keeps the chunks as they are, since there
 * may be thousands of slow senders; beyond that it copies them into one buffer, which frees the socket
 * buffers early.
 */
export function createPartBuffer(pool: BufferPool, maxBytes: number) {
  let chunks: Buffer[] = []
  let [length, buffer]: [number, Buffer | undefined] = [0, undefined]

  function mergeChunks() {
    const taken = pool.take(maxBytes)
    Buffer.concat(chunks, length).copy(taken)
    chunks = []
    return taken
  }

  return {
    length: () => length,
    add(chunk: Buffer) {
      if (length + chunk.length > MAX_CHUNKED_BYTES) buffer ??= mergeChunks()
      if (buffer) chunk.copy(buffer, length)
      else chunks.push(chunk)
      length += chunk.length
    },
    /** Returns all bytes. Call `releaseBuffer` once they are no longer used. */
    take() {
      const used = buffer
      const bytes = used?.subarray(0, length) ?? Buffer.concat(chunks, length)
      ;[chunks, length, buffer] = [[], 0, undefined]
      return { bytes, releaseBuffer: () => used && pool.give(used) }
    },
  }
}
