import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { batchChunks } from '../../src/blobs/streams/batch-chunks.ts'
import { recordRequest } from '../../src/blobs/yield-to-requests.ts'

const KIB = 1024
/** Far longer than the test may take. */
const patienceMs = 60_000

/** A source that takes all that is written. */
function gathering() {
  const source = new PassThrough({ highWaterMark: 4096 * KIB })
  return { source, batches: batchChunks(source, patienceMs) }
}

test('a batch that was full when many shared the room is given though they have ended', async () => {
  const others = Array.from({ length: 63 }, gathering)
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

test.each([
  ['while somebody asks, one at a time', recordRequest, 1],
  ['where nobody does, all at once', () => {}, 8],
])('of batches that are ready there come, %s', async (_, ask, most) => {
  // Until those who asked before are forgotten.
  await sleep(100)
  const all = Array.from({ length: 8 }, gathering)
  for (const { source } of all) source.write(Buffer.alloc(1024 * KIB))
  ask()
  let came = 0
  const coming = all.map(({ batches }) => batches.next().then(() => (came += 1)))
  const turns = []
  while (came < all.length) {
    const had = came
    await nextTurn()
    ask()
    turns.push(came - had)
  }
  expect(Math.max(...turns)).toBe(most)
  await Promise.all(coming)
  for (const { batches } of all) await batches.return(undefined)
})
