import {
  checkAfterPowerLoss,
  powerLossMoments,
  randomLuck,
  recordUploads,
} from '../support/disk/power-loss.ts'
import { canTrace } from '../support/disk/strace.ts'
import { type Luck, noLuck } from '../support/disk/traced-disk.ts'

/**
 * Simulates power losses at all moments of uploads, one recording after the other, until `until`
 * (milliseconds since 1970), with none and with some of the unsynced writes. Does nothing without strace.
 * Throws if acknowledged data is lost.
 */
export async function durability({
  seed,
  until,
}: {
  seed: number
  until: number
}): Promise<Record<string, number>> {
  const figures = { recordings: 0, systemCalls: 0, powerLosses: 0 }
  while (canTrace && Date.now() < until) {
    const cut = 1 + ((seed + 40_503 * figures.recordings) % 200_000)
    const recording = await recordUploads({ first: 2 * cut + 1, cut })
    figures.recordings += 1
    figures.systemCalls += recording.calls.length
    for (const moment of powerLossMoments(recording)) {
      for (const luck of [noLuck, randomLuck(seed + moment)]) {
        if (Date.now() >= until) return figures
        await lose(moment, luck)
        figures.powerLosses += 1
      }
    }
    async function lose(moment: number, luck: Luck) {
      const what = `seed ${seed}, cut ${cut}, line ${moment}${luck === noLuck ? '' : ', with luck'}`
      await checkAfterPowerLoss(recording, moment, luck).catch((cause) => {
        throw new Error(`power loss, ${what}: ${cause.message}`, { cause })
      })
    }
  }
  return figures
}
