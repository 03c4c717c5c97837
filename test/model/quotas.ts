import { usageOf } from './figures.ts'
import { mutation, type Operation } from './operation.ts'
import { requireWorkspace } from './paths.ts'

type SetQuota = { workspaceId: string; quotaBytes: number | null }

/** None, some room, or less than is there. The first workspace never has one. */
const updateWorkspace: Operation<SetQuota> = {
  name: 'updateWorkspace',
  weight: 2,
  draw(world, dice) {
    const { currentBytes, olderVersionBytes, trashedBytes, reservedBytes } = usageOf(world, 1)
    const taken = currentBytes + olderVersionBytes + trashedBytes + reservedBytes
    const some = dice.pick([0, 2000, 10_000, 200_000])
    const quotaBytes = dice.pick([null, taken + some, taken + some, Math.max(0, taken - some)])
    return { workspaceId: world.workspaces[1]?.id ?? '', quotaBytes }
  },
  run: mutation(
    'updateWorkspace',
    'workspace { usage { quotaBytes remainingBytes } }',
    (payload) => ({
      facts: payload.workspace.usage,
    }),
  ),
  apply(world, { workspaceId, quotaBytes }) {
    const index = requireWorkspace(world, workspaceId)
    const workspace = world.workspaces[index]
    if (workspace) workspace.quota = quotaBytes
    return { code: null, facts: { quotaBytes, remainingBytes: remaining(usageOf(world, index)) } }
  },
}

function remaining({ quotaBytes, ...usage }: ReturnType<typeof usageOf>) {
  const { currentBytes, olderVersionBytes, trashedBytes, reservedBytes } = usage
  const taken = currentBytes + olderVersionBytes + trashedBytes + reservedBytes
  return quotaBytes === null ? null : Math.max(0, quotaBytes - taken)
}

export const quotaOperations: Operation[] = [updateWorkspace]
