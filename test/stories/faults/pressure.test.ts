import { expect, test } from 'vitest'
import { press } from '../../soak/pressure.ts'

// A tenth of `npm run soak`, with bounds for a machine that runs other tests meanwhile; there they are
// 300 ms and 1,024 MB.
const MIB = 1024 ** 2
const load = { trickles: 100, seconds: 3, files: 300, uploads: 20, bytes: 64 * MIB }

test('F19, S25: GraphQL responds while connections trickle, and small files, many uploads and a large upload arrive', async () => {
  const figures = Object.entries(await press(load))
  const over = (unit: string, most: number) =>
    figures.filter(([what, figure]) => what.includes(unit) && figure > most)
  expect(over('p99', 1_000)).toEqual([])
  expect(over('memory', 500)).toEqual([])
}, 60_000)
