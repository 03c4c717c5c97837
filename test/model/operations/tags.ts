import type { Dice } from '../../support/data/seeded-random.ts'
import { drawItems, drawMode, drawTag, drawTags } from '../draws.ts'
import { reject } from '../refusal.ts'
import { type Entry, type Model, recordDeleted, type Tag } from '../state/model-state.ts'
import { fold } from '../state/names.ts'
import { checkRevision, type Item, requireLive } from '../state/paths.ts'
import { touch } from '../state/tree.ts'
import { batchMutation, batchOutcome, mutation, type Operation, stepsOf } from './operation.ts'

const tagsIn = (model: Model, workspace: number) =>
  [...model.tags.values()].filter((tag) => tag.workspace === workspace)

const tagNamed = (model: Model, workspace: number, name: string) =>
  tagsIn(model, workspace).find((tag) => fold(tag.name) === fold(clean(name)))

const clean = (name: string) => name.normalize('NFC').trim()

/** Adds tags to an entry and creates those that do not exist in its workspace. */
export function addTags(model: Model, entry: Entry, names: readonly string[]) {
  for (const name of names.filter((name) => clean(name) !== ''))
    entry.tags.add((tagNamed(model, entry.workspace, name) ?? newTag(model, entry, name)).key)
}

function newTag(model: Model, { workspace }: Entry, name: string): Tag {
  const tag: Tag = { key: model.next++, id: null, workspace, name: clean(name), color: null }
  model.tags.set(tag.key, tag)
  return tag
}

const drawTagId = (model: Model, dice: Dice): string | null =>
  (dice.chance(95) ? dice.pick([...model.tags.values()])?.id : dice.pick(model.deletedIds)) ?? null

function requireTag(model: Model, tagId: string): Tag {
  return [...model.tags.values()].find(({ id }) => id === tagId) ?? reject('NOT_FOUND')
}

type TagEntries = { entries: Item[]; add?: string[]; remove?: string[]; mode: string }
const tagEntries: Operation<TagEntries> = {
  name: 'tagEntries',
  weight: 5,
  draw: (model, dice) => ({
    entries: drawItems(model, dice),
    ...(dice.chance(80) && { add: drawTags(dice) }),
    ...(dice.chance(40) && { remove: drawTags(dice) }),
    mode: drawMode(dice),
  }),
  run: batchMutation('tagEntries'),
  apply: (model, input) =>
    batchOutcome(model, input, input.entries, (item) => {
      const entry = requireLive(model, item.entry)
      checkRevision(entry, item)
      for (const name of input.remove ?? [])
        entry.tags.delete(tagNamed(model, entry.workspace, name)?.key ?? -1)
      addTags(model, entry, input.add ?? [])
      return touch(entry).key
    }),
  steps: stepsOf('entries'),
}

type UpdateTag = { tagId: string; name?: string; color?: string | null }
const updateTag: Operation<UpdateTag> = {
  name: 'updateTag',
  weight: 2,
  draw(model, dice) {
    const tagId = drawTagId(model, dice)
    const color = dice.pick(['#1e90ff', '#000000', null, 'blue'])
    return tagId === null
      ? null
      : {
          tagId,
          ...(dice.chance(70) && { name: drawTag(dice) }),
          ...(dice.chance(40) && { color }),
        }
  },
  run: mutation('updateTag', 'tag { id name color }', ({ tag }) => ({
    facts: [tag.name, tag.color],
    ids: [tag.id],
  })),
  apply(model, { tagId, name, color }) {
    const tag = requireTag(model, tagId)
    const sameName = name === undefined ? undefined : tagNamed(model, tag.workspace, name)
    if ((name !== undefined && clean(name) === '') || (sameName && sameName !== tag))
      reject('INVALID_INPUT')
    if (color && !color.startsWith('#')) reject('INVALID_INPUT')
    if (name !== undefined) tag.name = clean(name)
    if (color !== undefined) tag.color = color
    return { code: null, facts: [tag.name, tag.color], keys: [tag.key] }
  },
}

const deleteTag: Operation<{ tagId: string }> = {
  name: 'deleteTag',
  weight: 1,
  draw(model, dice) {
    const tagId = drawTagId(model, dice)
    return tagId === null ? null : { tagId }
  },
  run: mutation('deleteTag', 'tagId', ({ tagId }) => ({ facts: tagId })),
  apply(model, { tagId }) {
    const tag = requireTag(model, tagId)
    model.tags.delete(tag.key)
    for (const { tags } of model.entries.values()) tags.delete(tag.key)
    recordDeleted(model, tagId)
    return { code: null, facts: tagId }
  },
}

export const taggingOperations: Operation[] = [tagEntries, updateTag, deleteTag]
