import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'

export const newKey = () => `upl_${randomBytes(16).toString('hex')}`

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

export const read = async (stream: Promise<Readable>) => buffer(await stream)

/** A request body in pieces of at most 64 KiB, as a socket brings them. */
export function body(bytes: Uint8Array, pieceBytes = 65_536): Readable {
  let at = 0
  return new Readable({
    read() {
      this.push(at < bytes.length ? bytes.subarray(at, at + pieceBytes) : null)
      at += pieceBytes
    },
  })
}

/** A body whose sender vanishes after `bytes`. */
export function brokenBody(bytes: Uint8Array): Readable {
  const whole = body(bytes)
  const source: Readable = new Readable({ read: () => whole.resume() })
  whole.on('data', (piece) => source.push(piece) || whole.pause())
  whole.on('end', () => setImmediate(() => source.destroy(new Error('the sender vanished'))))
  return source
}

/** A body that brings `bytes` and then nothing more, not even an end. */
export function stalledBody(bytes: Uint8Array): Readable {
  const source = new Readable({ read() {} })
  source.push(bytes)
  return source
}
