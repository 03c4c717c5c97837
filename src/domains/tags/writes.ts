import {
  inLockedTransaction,
  type ServiceContext,
  type TxContext,
  type Viewer,
} from '../../context.ts'
import type { Db } from '../../database/database.ts'
import { hook } from '../../database/hook.ts'
import { newId } from '../../database/ids.ts'
import type { Tx } from '../../database/transaction.ts'
import { InvalidInput } from '../../errors/input.ts'
import { record } from '../activity/writes.ts'
import { requireRow } from '../workspaces/reads.ts'
import type { TagRow } from './reads.ts'
import { checkColor, checkMarks, checkTagCount, cleanTagName, type TagName } from './rules.ts'

const requirement = { scope: 'FILES_WRITE', role: 'EDITOR' } as const

/** Called after the name or the color of a tag changes. */
export const tagUpdated = hook<{ tag: TagRow }>()
/** Called after a tag is deleted. */
export const tagDeleted = hook<{ tag: TagRow }>()

type Tagging = { workspaceId: string; entryId: string; tags: readonly TagName[] }

/**
 * Replaces the tags of an entry. Creates tags that the workspace does not have. Throws InvalidInput for too
 * many.
 */
export async function setTags(ctx: TxContext, tagging: Tagging): Promise<void> {
  await ctx.tx.deleteFrom('entryTags').where('entryId', '=', tagging.entryId).execute()
  await addTags(ctx, tagging)
}

/**
 * Adds tags to an entry. Creates tags that the workspace does not have. Throws InvalidInput at `field` for
 * too many.
 */
export async function addTags(
  ctx: TxContext,
  { workspaceId, entryId, tags }: Tagging,
  field = 'tags',
): Promise<void> {
  for (const tag of tags) {
    const tagId = await ensureTag(ctx, workspaceId, tag, field)
    await ctx.tx
      .insertInto('entryTags')
      .values({ entryId, tagId })
      .onConflict((c) => c.doNothing())
      .execute()
  }
  checkTagCount(await countTags(ctx, entryId), [field])
}

async function countTags({ tx }: TxContext, entryId: string): Promise<number> {
  const { count } = await tx
    .selectFrom('entryTags')
    .select((eb) => eb.fn.countAll().as('count'))
    .where('entryId', '=', entryId)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Removes tags from an entry. Ignores tags that the entry does not have. */
export async function removeTags(
  { tx }: TxContext,
  { workspaceId, entryId, tags }: Tagging,
): Promise<void> {
  if (tags.length === 0) return
  const keys = tags.map(({ nameKey }) => nameKey)
  await tx
    .deleteFrom('entryTags')
    .where('entryId', '=', entryId)
    .where('tagId', 'in', (q) =>
      q
        .selectFrom('tags')
        .select('id')
        .where('workspaceId', '=', workspaceId)
        .where('nameKey', 'in', keys),
    )
    .execute()
}

/** Adds the tags of the entry `from` to the entry `to` of the same workspace. */
export async function copyTags({ tx }: TxContext, from: string, to: string): Promise<void> {
  await tx
    .insertInto('entryTags')
    .columns(['entryId', 'tagId'])
    .expression((eb) =>
      eb
        .selectFrom('entryTags')
        .select((q) => [q.val(to).as('entryId'), 'tagId'])
        .where('entryId', '=', from),
    )
    .execute()
}

async function ensureTag(
  { tx, now }: TxContext,
  workspaceId: string,
  { name, nameKey }: TagName,
  field: string,
) {
  const existing = await tagIdOf(tx, workspaceId, nameKey)
  if (existing) return existing
  checkMarks(name, [field])
  const id = newId('tag')
  await tx
    .insertInto('tags')
    .values({ id, workspaceId, name, nameKey, color: null, createdAt: now() })
    .onConflict((c) => c.columns(['workspaceId', 'nameKey']).doNothing())
    .execute()
  // Another transaction may have created the tag in the meantime.
  return (await tagIdOf(tx, workspaceId, nameKey)) ?? id
}

async function tagIdOf(tx: Tx, workspaceId: string, nameKey: string): Promise<string | null> {
  const tag = await tx
    .selectFrom('tags')
    .select('id')
    .where('workspaceId', '=', workspaceId)
    .where('nameKey', '=', nameKey)
    .executeTakeFirst()
  return tag?.id ?? null
}

type TagChange = {
  tagId: string
  name?: string | null | undefined
  color?: string | null | undefined
}

/**
 * Changes the name or color of a tag; null removes the color. Requires role EDITOR and scope FILES_WRITE.
 * Throws NotFound, Forbidden, InvalidInput.
 */
export async function updateTag(
  ctx: ServiceContext,
  { tagId, name, color }: TagChange,
): Promise<TagRow> {
  const { workspaceId } = await requireTag(ctx.db, ctx.viewer, tagId)
  return inLockedTransaction(ctx, [workspaceId], async (s) => {
    const tag = await requireTag(s.tx, s.viewer, tagId)
    const renamed = name == null ? null : cleanTagName(name)
    if (name != null && !renamed)
      throw new InvalidInput({ path: ['name'], message: 'a name is needed' })
    if (color != null) checkColor(color)
    if (renamed && renamed.nameKey !== tag.nameKey) checkMarks(renamed.name, ['name'])
    if (renamed) await assertNameIsFree(s, tag, renamed)
    const updated = await s.tx
      .updateTable('tags')
      .set({ ...renamed, ...(color !== undefined && { color }), id: tagId })
      .where('id', '=', tagId)
      .returningAll()
      .executeTakeFirstOrThrow()
    await tagUpdated.call(s.tx, { tag: updated })
    await logTag(s, updated, 'tagUpdated')
    return updated
  })
}

/**
 * Removes a tag from all entries and deletes it. Requires role EDITOR and scope FILES_WRITE. Throws NotFound,
 * Forbidden.
 */
export async function deleteTag(ctx: ServiceContext, tagId: string): Promise<TagRow> {
  const { workspaceId } = await requireTag(ctx.db, ctx.viewer, tagId)
  return inLockedTransaction(ctx, [workspaceId], async (s) => {
    const tag = await requireTag(s.tx, s.viewer, tagId)
    await s.tx.deleteFrom('entryTags').where('tagId', '=', tagId).execute()
    await s.tx.deleteFrom('tags').where('id', '=', tagId).execute()
    await tagDeleted.call(s.tx, { tag })
    await logTag(s, tag, 'tagDeleted')
    return tag
  })
}

/** Logs a change of a tag as a change of its workspace. */
const logTag = (ctx: TxContext, { id, name, workspaceId }: TagRow, detail: string) =>
  record(ctx, { workspaceId, action: 'WORKSPACE_UPDATED', details: { [detail]: { id, name } } })

async function requireTag(db: Db | Tx, viewer: Viewer, tagId: string): Promise<TagRow> {
  const tag = await db.selectFrom('tags').selectAll().where('id', '=', tagId).executeTakeFirst()
  return requireRow(db, viewer, tagId, tag, requirement)
}

async function assertNameIsFree(
  { tx }: TxContext,
  { id, workspaceId }: TagRow,
  { nameKey }: TagName,
) {
  const other = await tx
    .selectFrom('tags')
    .select('id')
    .where('workspaceId', '=', workspaceId)
    .where('nameKey', '=', nameKey)
    .where('id', '!=', id)
    .executeTakeFirst()
  if (other) throw new InvalidInput({ path: ['name'], message: 'another tag has this name' })
}
