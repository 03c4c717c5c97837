import { builder } from '../../graphql/builder.ts'
import { mutation } from '../../graphql/mutations.ts'
import { loader, Node, nodeType } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { requireRead, Workspace } from '../workspaces/graphql.ts'
import { readableWorkspaces } from '../workspaces/reads.ts'
import { type TagRow, tagsById, tagsList, tagsOfEntries } from './reads.ts'
import { deleteTag, updateTag } from './writes.ts'

nodeType('tag', 'Tag', async (ids, { db, viewer }) => {
  const rows = await tagsById(db, ids)
  const readable = await readableWorkspaces(
    db,
    viewer,
    rows.map((row) => row?.workspaceId ?? ''),
  )
  return rows.map((row) => (row && readable.has(row.workspaceId) ? row : null))
})

/** The tags of an entry that the viewer may see. */
export const loadTags = loader<TagRow[]>((entryIds, { db }) => tagsOfEntries(db, entryIds))

export const Tag = builder.objectRef<TagRow>('Tag').implement({
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id'),
    name: t.exposeString('name'),
    color: t.exposeString('color', { nullable: true, description: 'Like #1e90ff.' }),
  }),
})

builder.objectField(Workspace, 'tags', (t) =>
  t.connection(
    {
      type: Tag,
      description: 'By name.',
      args: { nameContains: t.arg.string() },
      resolve: async ({ id }, { nameContains, ...args }, context) => {
        await requireRead(context, id)
        return page(args, tagsList(context.db, id, { nameContains }))
      },
    },
    ...connectionOf(Tag, 'Tag'),
  ),
)

mutation('updateTag', {
  description: 'Renames or colors a tag wherever it is. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('UpdateTagInput', {
    fields: (t) => ({ tagId: t.id({ required: true }), name: t.string(), color: t.string() }),
  }),
  payload: builder
    .objectRef<{ tag: TagRow }>('UpdateTagPayload')
    .implement({ fields: (t) => ({ tag: t.expose('tag', { type: Tag }) }) }),
  resolve: async (input, context) => ({ tag: await updateTag(context, input) }),
})

mutation('deleteTag', {
  description: 'Takes a tag from everything and forgets it. EDITOR, scope FILES_WRITE.',
  input: builder.inputType('DeleteTagInput', {
    fields: (t) => ({ tagId: t.id({ required: true }) }),
  }),
  payload: builder
    .objectRef<{ tagId: string }>('DeleteTagPayload')
    .implement({ fields: (t) => ({ tagId: t.exposeID('tagId') }) }),
  resolve: async ({ tagId }, context) => ({ tagId: (await deleteTag(context, tagId)).id }),
})
