import { join } from 'node:path'
import { fetchAll, fill, MIB, sendAll } from '../curl.ts'
import { holdallSink, type Sink } from '../sinks.ts'
import type { Row } from '../table.ts'
import { memoryBacked, newFolder } from '../turns.ts'
import { linkTo } from './downloads.ts'

const SIZE = 1024 * MIB
const COUNT = 50
/** Not to their ends, which would fill the disk: all of them are under way at once, and so they stay for so long. */
const SECONDS = 20
/** Of each upload, for the same reason; downloads go as fast as they can. */
const UPLOAD_BYTES_PER_SECOND = 8 * MIB

export const memory: Row = {
  name: 'P11',
  async measure() {
    await using folder = await newFolder(memoryBacked)
    await using holdall = await holdallSink()
    const file = await fill(join(folder.path, 'gibibyte'), SIZE)
    const idle = await holdall.program.megabytes()
    const link = await linkTo(holdall, file, SIZE)
    await busily(holdall, file, link)
    const most = await holdall.program.peakMegabytes()
    return [
      {
        work: 'memory at 50 uploads and 50 downloads of 1 GiB',
        ours: `${most.toFixed(0)} MB`,
        theirs: `${idle.toFixed(0)} MB idle`,
        ratio: (most - idle) / 150,
        target: { atMost: 1 },
        megabytes: most,
      },
    ]
  },
}

async function busily(holdall: Sink, file: string, link: string) {
  const uploads = await Promise.all(Array.from({ length: COUNT }, () => holdall.newUpload(SIZE)))
  const sent = uploads.map(({ url }) => ({ file, url }))
  const bounded = ['-m', `${SECONDS}`]
  await Promise.allSettled([
    sendAll(sent, [...bounded, '--limit-rate', `${UPLOAD_BYTES_PER_SECOND}`]),
    fetchAll(Array(COUNT).fill(link), bounded),
  ])
}
