import { createWorkspace } from '../support/client.ts'
import { Dice } from '../support/seeded-random.ts'
import { check } from './checker.ts'
import { work } from './clients.ts'
import { follow } from './followers.ts'
import { Journal } from './journal.ts'
import { befall } from './nemesis.ts'
import { openInstallation } from './servers.ts'

type Bounds = { seed: number; ms: number; databaseUrl?: string | undefined; clients?: number }

/**
 * Clients that know the API alone, and faults that befall the servers meanwhile, for `ms`. Then all that was told is
 * held against what is there. What contradicts the documentation comes back as violations, with figures and the longest time (ms)
 * in which no write in a workspace was answered with success.
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
  const befalling = befall(installation, { journal, dice: new Dice(seed + clients), isOver })
  await Promise.all([befalling, ...working])
  const longestGapMs = journal.longestGap()
  const places = await Promise.all(following)
  for (const [i, workspace] of workspaces.entries()) await check(at, workspace, places[i] ?? [])
  const found = await fsck()
  if (found) journal.violation(`fsck: ${found}`)
  return { violations: journal.violations, figures: journal.figures, longestGapMs }
}
