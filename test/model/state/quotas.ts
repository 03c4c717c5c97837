import { usageOf } from '../figures.ts'
import { mutation, type Operation } from '../operations/operation.ts'
import { requireWorkspace } from './paths.ts'

type SetQuota = { workspaceId: string; quotaBytes: number | null }

/** Sets no quota, one above the usage, or one below it. The first workspace never has a quota. */
const updateWorkspace: Operation<SetQuota> = {
  name: 'updateWorkspace',
  weight: 2,
  draw(model, dice) {
    const { currentBytes, olderVersionBytes, trashedBytes, reservedBytes } = usageOf(model, 1)
    const taken = currentBytes + olderVersionBytes + trashedBytes + reservedBytes
    const some = dice.pick([0, 2000, 10_000, 200_000])
    const quotaBytes = dice.pick([null, taken + some, taken + some, Math.max(0, taken - some)])
    return { workspaceId: model.workspaces[1]?.id ?? '', quotaBytes }
  },
  run: mutation(
    'updateWorkspace',
    'workspace { usage { quotaBytes remainingBytes } }',
    (payload) => ({
      facts: payload.workspace.usage,
    }),
  ),
  apply(model, { workspaceId, quotaBytes }) {
    const index = requireWorkspace(model, workspaceId)
    const workspace = model.workspaces[index]
    if (workspace) workspace.quota = quotaBytes
    return { code: null, facts: { quotaBytes, remainingBytes: remaining(usageOf(model, index)) } }
  },
}

function remaining({ quotaBytes, ...usage }: ReturnType<typeof usageOf>) {
  const { currentBytes, olderVersionBytes, trashedBytes, reservedBytes } = usage
  const taken = currentBytes + olderVersionBytes + trashedBytes + reservedBytes
  return quotaBytes === null ? null : Math.max(0, quotaBytes - taken)
}

export const quotaOperations: Operation[] = [updateWorkspace]
