import { setTimeout as sleep } from 'node:timers/promises'
import type { Dice } from '../support/data/seeded-random.ts'
import type { Journal } from './journal.ts'
import type { Installation, Member } from './servers.ts'

type Fault = (member: Member, dice: Dice) => Promise<unknown>

/** Faults of one process. Each promise resolves when the fault has ended and the process serves again. */
const faults: Record<string, Fault> = {
  async kill(member) {
    await member.end('SIGKILL')
    await member.start()
  },
  async stop(member, dice) {
    member.signal('SIGSTOP')
    await sleep(2_000 + dice.below(5_000))
    member.signal('SIGCONT')
  },
  async cut(member, dice) {
    for (let i = 0; i <= dice.below(3); i += 1) {
      for (const network of member.networks) network.cut()
      await sleep(300)
    }
  },
  /** Stalls all traffic for a while; then existing connections stay dead and new ones work. */
  async 'black hole'(member, dice) {
    for (const network of member.networks) network.stall()
    await sleep(1_000 + dice.below(5_000))
    for (const network of member.networks) network.blackHole()
    for (const network of member.networks) network.resume()
  },
  async clock(member, dice) {
    await member.end('SIGTERM')
    await member.start(dice.pick([-120_000, -6_000, 6_000, 120_000]))
  },
  async restart(member) {
    await member.end('SIGTERM')
    await member.start()
  },
}

/**
 * Injects one fault after the other, into one process at a time, until `isOver`; all clocks are correct at
 * the end.
 */
export async function injectFaults(
  { members }: Installation,
  { journal, dice, isOver }: { journal: Journal; dice: Dice; isOver: () => boolean },
) {
  // Network and clock faults are only fair with several processes.
  const kinds = members.length > 1 ? Object.keys(faults) : ['kill', 'stop', 'restart']
  for (let round = 0; !isOver(); round += 1) {
    await sleep(1_000 + dice.below(1_000))
    const kind = kinds[(round + dice.below(2)) % kinds.length] ?? 'kill'
    const member = dice.pick(members)
    if (!member || isOver()) return
    journal.count(`faults: ${kind}`)
    await faults[kind]?.(member, dice)
  }
}
