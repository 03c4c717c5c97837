import { join } from 'node:path'
import { fetchAll, fill, MIB, sendAll } from '../curl.ts'
import { holdallSink, type Sink } from '../sinks.ts'
import type { Row } from '../table.ts'
import { memoryBacked, newFolder } from '../turns.ts'
import { linkTo } from './downloads.ts'

const SIZE = 1024 * MIB
const COUNT = 50
/** The transfers are cut off after this time, since complete ones would fill the disk. */
const SECONDS = 20
/** Limit per upload, for the same reason; downloads are not limited. */
const UPLOAD_BYTES_PER_SECOND = 8 * MIB

export const memory: Row = {
  name: 'P11',
  async measure() {
    await using folder = await newFolder(memoryBacked)
    await using holdall = await holdallSink()
    const file = await fill(join(folder.path, 'gibibyte'), SIZE)
    const idle = await holdall.program.megabytes()
    const link = await linkTo(holdall, file, SIZE)
    await transferAll(holdall, file, link)
    const peak = await holdall.program.peakMegabytes()
    return [
      {
        work: 'memory at 50 uploads and 50 downloads of 1 GiB',
        ours: `${peak.toFixed(0)} MB`,
        theirs: `${idle.toFixed(0)} MB idle`,
        ratio: (peak - idle) / 150,
        target: { atMost: 1 },
        megabytes: peak,
      },
    ]
  },
}

async function transferAll(holdall: Sink, file: string, link: string) {
  const uploads = await Promise.all(Array.from({ length: COUNT }, () => holdall.newUpload(SIZE)))
  const sent = uploads.map(({ url }) => ({ file, url }))
  const bounded = ['-m', `${SECONDS}`]
  await Promise.allSettled([
    sendAll(sent, [...bounded, '--limit-rate', `${UPLOAD_BYTES_PER_SECOND}`]),
    fetchAll(Array(COUNT).fill(link), bounded),
  ])
}
