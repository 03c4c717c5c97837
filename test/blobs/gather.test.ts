import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { gather } from '../../src/blobs/gather.ts'

const KIB = 1024
/** Far longer than the test may take. */
const patienceMs = 60_000

/** A source that takes all that is written. */
function gathering() {
  const source = new PassThrough({ highWaterMark: 4096 * KIB })
  return { source, batches: gather(source, patienceMs) }
}

test('a batch that was full when many shared the room is given though they have ended', async () => {
  const others = Array.from({ length: 31 }, gathering)
  for (const { source } of others) source.write(Buffer.alloc(1024 * KIB))
  for (const { batches } of others) await batches.next()
  const { source, batches } = gathering()
  const first = batches.next()
  for (let piece = 0; piece < 9; piece++) {
    source.write(Buffer.alloc(64 * KIB))
    await sleep(5)
  }
  await first
  for (const { batches } of others) await batches.return(undefined)
  const { value = [] } = await batches.next()
  expect(Buffer.concat(value).length).toBe(256 * KIB)
  await batches.return(undefined)
}, 5_000)
