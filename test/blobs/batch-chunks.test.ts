import { PassThrough } from 'node:stream'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { batchChunks } from '../../src/blobs/streams/batch-chunks.ts'
import { recordRequest } from '../../src/blobs/yield-to-requests.ts'

const KIB = 1024
/** Far longer than the test takes. */
const flushMs = 60_000

/** Opens a source that accepts everything that is written. */
function openSource() {
  const source = new PassThrough({ highWaterMark: 4096 * KIB })
  return { source, batches: batchChunks(source, flushMs) }
}

test('yields a batch that was full while other uploads shared the limit, after they have ended', async () => {
  const others = Array.from({ length: 63 }, openSource)
  for (const { source } of others) source.write(Buffer.alloc(1024 * KIB))
  for (const { batches } of others) await batches.next()
  const { source, batches } = openSource()
  const first = batches.next()
  for (let chunk = 0; chunk < 9; chunk++) {
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
  ['one per turn while interactive requests arrive', recordRequest, 1],
  ['all in one turn without interactive requests', () => {}, 8],
])('yields ready batches: %s', async (_, request, maxPerTurn) => {
  // Waits until earlier requests no longer count as recent.
  await sleep(100)
  const all = Array.from({ length: 8 }, openSource)
  for (const { source } of all) source.write(Buffer.alloc(1024 * KIB))
  request()
  let yielded = 0
  const pending = all.map(({ batches }) => batches.next().then(() => (yielded += 1)))
  const turns = []
  while (yielded < all.length) {
    const before = yielded
    await nextTurn()
    request()
    turns.push(yielded - before)
  }
  expect(Math.max(...turns)).toBe(maxPerTurn)
  await Promise.all(pending)
  for (const { batches } of all) await batches.return(undefined)
})
