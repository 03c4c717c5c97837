import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { downloadUrl } from '../../support/client.ts'
import { startProgram } from '../../support/servers/program.ts'
import { serverAt } from '../../support/servers/server-at.ts'
import { fetchAll, fetchRanges, fill, MIB, sendAll } from '../curl.ts'
import { ADMIN_TOKEN } from '../question.ts'
import { holdallSink, peer, type Sink } from '../sinks.ts'
import type { Line, Row } from '../table.ts'
import { measureInTurns, memoryBacked, newFolder, secondsOf } from '../turns.ts'
import { speed } from './one-upload.ts'

const SIZE = 1024 * MIB
const RANGES = 1000
const RANGE_BYTES = 64 * 1024

export const downloads: Row = {
  name: 'P5',
  async measure(rounds) {
    await using folder = await newFolder(memoryBacked)
    await using holdall = await holdallSink(memoryBacked)
    const file = await fill(join(folder.path, 'gibibyte'), SIZE)
    await using bare = await startProgram([peer('streaming'), file, `${SIZE}`], {})
    const urls = { ours: await linkTo(holdall, file, SIZE), theirs: bare.url }
    return [
      await wholeFile(urls, rounds),
      await rangesOf(urls, rounds),
      await verified(folder.path, rounds),
    ]
  },
}

const SMALL_SIZE = 64 * MIB

/** Measures the cost of verified reads of a small file: the same server with and without VERIFY_READS. */
async function verified(folder: string, rounds: number): Promise<Line> {
  const file = await fill(join(folder, 'small'), SMALL_SIZE)
  await using small = await holdallSink(memoryBacked, { VERIFY_READS: 'small' })
  await using off = await holdallSink(memoryBacked, { VERIFY_READS: 'off' })
  const ours = await linkTo(small, file, SMALL_SIZE)
  const theirs = await linkTo(off, file, SMALL_SIZE)
  const ranges = randomRanges(SMALL_SIZE)
  const seconds = await measureInTurns(rounds, {
    ours: () => secondsOf(() => fetchRanges(ours, ranges)),
    theirs: () => secondsOf(() => fetchRanges(theirs, ranges)),
  })
  return {
    work: '1,000 ranges of 64 KiB of 64 MiB, verified',
    ours: `${seconds.ours.toFixed(2)} s`,
    theirs: `${seconds.theirs.toFixed(2)} s, VERIFY_READS=off`,
    ratio: seconds.theirs / seconds.ours,
    target: { atLeast: 0.95 },
  }
}

const randomRanges = (size: number) =>
  Array.from({ length: RANGES }, () => {
    const start = randomInt(size - RANGE_BYTES)
    return `${start}-${start + RANGE_BYTES - 1}`
  })

type Urls = { ours: string; theirs: string }

async function wholeFile({ ours, theirs }: Urls, rounds: number): Promise<Line> {
  const seconds = await measureInTurns(rounds, {
    ours: () => secondsOf(() => fetchAll([ours])),
    theirs: () => secondsOf(() => fetchAll([theirs])),
  })
  return speed('download of 1 GiB', seconds, 'createReadStream', 0.95)
}

async function rangesOf({ ours, theirs }: Urls, rounds: number): Promise<Line> {
  const ranges = randomRanges(SIZE)
  const seconds = await measureInTurns(rounds, {
    ours: () => secondsOf(() => fetchRanges(ours, ranges)),
    theirs: () => secondsOf(() => fetchRanges(theirs, ranges)),
  })
  return {
    work: '1,000 ranges of 64 KiB',
    ours: `${seconds.ours.toFixed(2)} s`,
    theirs: `${seconds.theirs.toFixed(2)} s, createReadStream`,
    ratio: seconds.theirs / seconds.ours,
    target: { atLeast: 0.95 },
  }
}

/** Uploads the file and returns a signed link to it. */
export async function linkTo(sink: Sink, file: string, size: number): Promise<string> {
  const { url, finish } = await sink.newUpload(size)
  await sendAll([{ file, url }])
  const { id } = (await finish()) as { id: string }
  return downloadUrl(serverAt(sink.program.url, ADMIN_TOKEN), id)
}
