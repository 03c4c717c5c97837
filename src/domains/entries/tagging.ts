import type { ServiceContext } from '../../context.ts'
import { record } from '../activity/writes.ts'
import { parseTagNames } from '../tags/rules.ts'
import { addTags, removeTags } from '../tags/writes.ts'
import { type BatchEntry, type BatchMode, batch, type Outcome } from './batch.ts'
import { pathOf, requireLive } from './reads.ts'
import { bumpRevision, checkRevision, toWrite } from './writes.ts'

type Tagging = {
  entries: readonly BatchEntry[]
  add?: readonly string[] | null | undefined
  remove?: readonly string[] | null | undefined
  mode: BatchMode
}

/**
 * Adds tags to 1 to 100 entries and removes tags from them. Their other tags stay. Throws InvalidInput for
 * invalid tag names.
 */
export async function tagEntries(
  ctx: ServiceContext,
  { entries, add, remove, mode }: Tagging,
): Promise<Outcome[]> {
  // Without a viewer every entry is refused, so the tag names need no validation.
  const [added, removed] = ctx.viewer
    ? [parseTagNames(add ?? [], ['add']), parseTagNames(remove ?? [], ['remove'])]
    : [[], []]
  return batch(ctx, { entries, mode }, async (s, { entry: ref, expectedRevision }) => {
    const { entry, parent } = await requireLive(s.tx, s.viewer, ref, toWrite)
    checkRevision(entry, expectedRevision)
    const { id: entryId, workspaceId } = entry
    await removeTags(s, { workspaceId, entryId, tags: removed })
    await addTags(s, { workspaceId, entryId, tags: added }, 'add')
    const path = pathOf(entry, parent)
    const details = { changed: ['tags'] }
    await record(s, { workspaceId, action: 'ENTRY_UPDATED', entryId, path, details })
    return bumpRevision(s, entry, {})
  })
}
