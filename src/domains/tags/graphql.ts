import { builder } from '../../graphql/builder.ts'
import { loader, Node, nodeType } from '../../graphql/nodes.ts'
import { connectionOf, page } from '../../graphql/pages.ts'
import { workspaceMutation } from '../activity/graphql.ts'
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

/** Loads the tags of an entry by its id. Does not check access. */
export const loadTags = loader<TagRow[]>((entryIds, { db }) => tagsOfEntries(db, entryIds))

export const Tag = builder.objectRef<TagRow>('Tag').implement({
  description: 'A label of a workspace that entries can carry.',
  interfaces: [Node],
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The id of the tag.' }),
    name: t.exposeString('name', { description: 'The name of the tag.' }),
    color: t.exposeString('color', {
      nullable: true,
      description: 'The color of the tag, such as #1e90ff, or null.',
    }),
  }),
})

builder.objectField(Workspace, 'tags', (t) =>
  t.connection(
    {
      type: Tag,
      description: 'The tags of the workspace, sorted by name. Requires scope FILES_READ.',
      args: {
        nameContains: t.arg.string({
          description: 'Returns only tags whose name contains this text, ignoring case.',
        }),
      },
      resolve: async ({ id }, { nameContains, ...args }, context) => {
        await requireRead(context, id)
        return page(args, tagsList(context.db, id, { nameContains }))
      },
    },
    ...connectionOf(Tag, 'Tag'),
  ),
)

workspaceMutation('updateTag', {
  description:
    'Changes the name or the color of a tag, for all entries that carry it. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('UpdateTagInput', {
    fields: (t) => ({
      tagId: t.id({ required: true, description: 'The tag to change.' }),
      name: t.string({ description: 'The new name, of 1 to 64 characters.' }),
      color: t.string({ description: 'The new color, such as #1e90ff; null removes it.' }),
    }),
  }),
  payload: builder.objectRef<{ tag: TagRow }>('UpdateTagPayload').implement({
    fields: (t) => ({ tag: t.expose('tag', { type: Tag, description: 'The changed tag.' }) }),
  }),
  workspaceIdOf: ({ tag }) => tag.workspaceId,
  resolve: async (input, context) => ({ tag: await updateTag(context, input) }),
})

workspaceMutation('deleteTag', {
  description:
    'Removes a tag from all entries and deletes it. Requires role EDITOR and scope FILES_WRITE.',
  input: builder.inputType('DeleteTagInput', {
    fields: (t) => ({
      tagId: t.id({ required: true, description: 'The tag to delete.' }),
    }),
  }),
  payload: builder.objectRef<{ tag: TagRow }>('DeleteTagPayload').implement({
    fields: (t) => ({
      tagId: t.id({
        description: 'The id of the deleted tag.',
        resolve: ({ tag }) => tag.id,
      }),
    }),
  }),
  workspaceIdOf: ({ tag }) => tag.workspaceId,
  resolve: async ({ tagId }, context) => ({ tag: await deleteTag(context, tagId) }),
})
