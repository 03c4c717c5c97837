import { setTimeout as sleep } from 'node:timers/promises'
import type { Dice } from '../support/seeded-random.ts'
import type { Journal } from './journal.ts'
import type { Installation, Member } from './servers.ts'

type Fault = (member: Member, dice: Dice) => Promise<unknown>

/** What may befall one process; each has ended when it resolves, and the process serves again. */
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
  /** Nothing goes through for a while; then what there was is lost, and what is new goes through. */
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

/** One fault after the other, to one process at a time, until it is over; all clocks are right at the end. */
export async function befall(
  { members }: Installation,
  { journal, dice, isOver }: { journal: Journal; dice: Dice; isOver: () => boolean },
) {
  // One process that is not there for a while is no fault of the others, and a clock of its own is none.
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
