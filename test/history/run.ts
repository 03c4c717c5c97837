import { createWorkspace } from '../support/client.ts'
import { Dice } from '../support/data/seeded-random.ts'
import { check } from './checker.ts'
import { work } from './clients.ts'
import { follow } from './followers.ts'
import { Journal } from './journal.ts'
import { injectFaults } from './nemesis.ts'
import { openInstallation } from './servers.ts'

type Bounds = { seed: number; ms: number; databaseUrl?: string | undefined; clients?: number }

/**
 * Runs clients that know only the API, and faults in the servers meanwhile, for `ms`. Then compares the final
 * state with the acknowledged operations. Returns contradictions of the documentation as violations,
 * counters, and the longest time in ms without a successful write in a workspace.
 */
export async function runHistory({ seed, ms, databaseUrl, clients = 6 }: Bounds) {
  await using installation = await openInstallation(databaseUrl)
  const { holdall, fsck } = installation
  const journal = new Journal()
  const workspaces = [
    await createWorkspace(holdall),
    await createWorkspace(holdall, { name: 'Other' }),
  ]
  const end = performance.now() + ms
  const isOver = () => performance.now() >= end
  const workspaceIds = workspaces.map(({ id }) => id) as [string, string]
  const at = { holdall, journal }
  const following = workspaceIds.map((id) => follow(at, id, isOver))
  const working = Array.from({ length: clients }, (_, i) =>
    work({ ...at, workspaceIds, dice: new Dice(seed + i), name: `c${i}`, isOver }),
  )
  const injecting = injectFaults(installation, { journal, dice: new Dice(seed + clients), isOver })
  await Promise.all([injecting, ...working])
  const longestGapMs = journal.longestGap()
  const places = await Promise.all(following)
  for (const [i, workspace] of workspaces.entries()) await check(at, workspace, places[i] ?? [])
  const found = await fsck()
  if (found) journal.violation(`fsck: ${found}`)
  return { violations: journal.violations, figures: journal.figures, longestGapMs }
}
