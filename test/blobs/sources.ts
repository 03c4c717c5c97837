import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'

export const newKey = () => `upl_${randomBytes(16).toString('hex')}`

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

export const read = async (stream: Promise<Readable>) => buffer(await stream)

/** Returns a request body in chunks of at most 64 KiB, as a socket delivers them. */
export function body(bytes: Uint8Array, chunkBytes = 65_536): Readable {
  let at = 0
  return new Readable({
    read() {
      this.push(at < bytes.length ? bytes.subarray(at, at + chunkBytes) : null)
      at += chunkBytes
    },
  })
}

/** Returns a body whose sender disconnects after `bytes`. */
export function brokenBody(bytes: Uint8Array): Readable {
  const whole = body(bytes)
  const source: Readable = new Readable({ read: () => whole.resume() })
  whole.on('data', (chunk) => source.push(chunk) || whole.pause())
  whole.on('end', () => setImmediate(() => source.destroy(new Error('the sender disconnected'))))
  return source
}

/** Returns a body that delivers `bytes` and then neither data nor an end. */
export function stalledBody(bytes: Uint8Array): Readable {
  const source = new Readable({ read() {} })
  source.push(bytes)
  return source
}
