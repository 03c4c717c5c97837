import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fill, MIB } from '../curl.ts'
import { gathering, holdallSink, type Sink, stockTus, timeOf } from '../sinks.ts'
import type { Line, Row } from '../table.ts'
import { measureInTurns, median, memoryBacked, newFolder, secondsOf } from '../turns.ts'

const SIZE = 1024 * MIB
const run = promisify(execFile)

export const oneUpload: Row = {
  name: 'P1',
  async measure(rounds) {
    await using folder = await newFolder(memoryBacked)
    const file = await fill(join(folder.path, 'gibibyte'), SIZE)
    return [...(await besideStock(file, rounds)), await besideDd(file, rounds)]
  },
}

export const oneUploadBesideBare: Row = {
  name: 'P2',
  async measure(rounds) {
    await using folder = await newFolder(memoryBacked)
    await using holdall = await holdallSink(memoryBacked)
    await using bare = await gathering(memoryBacked)
    const file = await fill(join(folder.path, 'gibibyte'), SIZE)
    const seconds = await measureInTurns(rounds, {
      ours: async () => (await timeOf(holdall, [file])).seconds,
      theirs: async () => (await timeOf(bare, [file])).seconds,
    })
    const megabytes = await holdall.program.peakMegabytes()
    return [
      speed('1 GiB by one PATCH, in memory', seconds, 'bare node:http, writev', 0.75, megabytes),
    ]
  },
}

async function besideStock(file: string, rounds: number): Promise<Line[]> {
  await using holdall = await holdallSink(memoryBacked)
  await using stock = await stockTus(memoryBacked)
  const worked: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] }
  const timed = async (sink: Sink, cpu: number[]) => {
    const { seconds, cpuSeconds } = await timeOf(sink, [file])
    cpu.push(cpuSeconds)
    return seconds
  }
  const seconds = await measureInTurns(rounds, {
    ours: () => timed(holdall, worked.ours),
    theirs: () => timed(stock, worked.theirs),
  })
  const [ours, theirs] = [median(worked.ours), median(worked.theirs)]
  const megabytes = await holdall.program.peakMegabytes()
  return [
    speed('1 GiB by one PATCH, in memory', seconds, 'stock tus', 1.6, megabytes),
    {
      work: 'its CPU time',
      ours: `${ours.toFixed(2)} s`,
      theirs: `${theirs.toFixed(2)} s, stock tus`,
      ratio: ours / theirs,
      target: { atMost: 0.7 },
    },
  ]
}

async function besideDd(file: string, rounds: number): Promise<Line> {
  await using holdall = await holdallSink()
  await using folder = await newFolder()
  const copy = join(folder.path, 'copy')
  const seconds = await measureInTurns(rounds, {
    ours: async () => (await timeOf(holdall, [file])).seconds,
    theirs: () =>
      secondsOf(() => run('dd', [`if=${file}`, `of=${copy}`, 'bs=1M', 'conv=fdatasync'])).finally(
        () => rm(copy),
      ),
  })
  return speed('1 GiB by one PATCH, to the disk', seconds, 'dd conv=fdatasync', 0.9)
}

type Seconds = { ours: number; theirs: number }

/** Converts the seconds for 1 GiB into a line of the table. */
export function speed(
  work: string,
  { ours, theirs }: Seconds,
  peer: string,
  atLeast: number,
  megabytes?: number,
): Line {
  const rate = (seconds: number) => `${(1024 / seconds).toFixed(0)} MiB/s`
  return {
    work,
    ours: rate(ours),
    theirs: `${rate(theirs)}, ${peer}`,
    ratio: theirs / ours,
    target: { atLeast },
    ...(megabytes && { megabytes }),
  }
}
