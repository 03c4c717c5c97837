import type { Dice } from '../support/seeded-random.ts'
import { drawItems, drawMode, drawTag, drawTags } from './draws.ts'
import { bury, type Entry, type Tag, type World } from './model-state.ts'
import { fold } from './names.ts'
import { batchMutation, batchOutcome, mutation, type Operation, stepsOf } from './operation.ts'
import { checkRevision, type Item, requireLive } from './paths.ts'
import { refuse } from './refusal.ts'
import { touch } from './tree.ts'

const tagsIn = (world: World, workspace: number) =>
  [...world.tags.values()].filter((tag) => tag.workspace === workspace)

const tagNamed = (world: World, workspace: number, name: string) =>
  tagsIn(world, workspace).find((tag) => fold(tag.name) === fold(clean(name)))

const clean = (name: string) => name.normalize('NFC').trim()

/** Gives an entry tags; those that its workspace has not seen are made. */
export function addTags(world: World, entry: Entry, names: readonly string[]) {
  for (const name of names.filter((name) => clean(name) !== ''))
    entry.tags.add((tagNamed(world, entry.workspace, name) ?? newTag(world, entry, name)).key)
}

function newTag(world: World, { workspace }: Entry, name: string): Tag {
  const tag: Tag = { key: world.next++, id: null, workspace, name: clean(name), color: null }
  world.tags.set(tag.key, tag)
  return tag
}

const drawTagId = (world: World, dice: Dice): string | null =>
  (dice.chance(95) ? dice.pick([...world.tags.values()])?.id : dice.pick(world.gone)) ?? null

function requireTag(world: World, tagId: string): Tag {
  return [...world.tags.values()].find(({ id }) => id === tagId) ?? refuse('NOT_FOUND')
}

type TagEntries = { entries: Item[]; add?: string[]; remove?: string[]; mode: string }
const tagEntries: Operation<TagEntries> = {
  name: 'tagEntries',
  weight: 5,
  draw: (world, dice) => ({
    entries: drawItems(world, dice),
    ...(dice.chance(80) && { add: drawTags(dice) }),
    ...(dice.chance(40) && { remove: drawTags(dice) }),
    mode: drawMode(dice),
  }),
  run: batchMutation('tagEntries'),
  apply: (world, input) =>
    batchOutcome(world, input, input.entries, (item) => {
      const entry = requireLive(world, item.entry)
      checkRevision(entry, item)
      for (const name of input.remove ?? [])
        entry.tags.delete(tagNamed(world, entry.workspace, name)?.key ?? -1)
      addTags(world, entry, input.add ?? [])
      return touch(entry).key
    }),
  steps: stepsOf('entries'),
}

type UpdateTag = { tagId: string; name?: string; color?: string | null }
const updateTag: Operation<UpdateTag> = {
  name: 'updateTag',
  weight: 2,
  draw(world, dice) {
    const tagId = drawTagId(world, dice)
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
  apply(world, { tagId, name, color }) {
    const tag = requireTag(world, tagId)
    const twin = name === undefined ? undefined : tagNamed(world, tag.workspace, name)
    if ((name !== undefined && clean(name) === '') || (twin && twin !== tag))
      refuse('INVALID_INPUT')
    if (color && !color.startsWith('#')) refuse('INVALID_INPUT')
    if (name !== undefined) tag.name = clean(name)
    if (color !== undefined) tag.color = color
    return { code: null, facts: [tag.name, tag.color], is: [tag.key] }
  },
}

const deleteTag: Operation<{ tagId: string }> = {
  name: 'deleteTag',
  weight: 1,
  draw(world, dice) {
    const tagId = drawTagId(world, dice)
    return tagId === null ? null : { tagId }
  },
  run: mutation('deleteTag', 'tagId', ({ tagId }) => ({ facts: tagId })),
  apply(world, { tagId }) {
    const tag = requireTag(world, tagId)
    world.tags.delete(tag.key)
    for (const { tags } of world.entries.values()) tags.delete(tag.key)
    bury(world, tagId)
    return { code: null, facts: tagId }
  },
}

export const taggingOperations: Operation[] = [tagEntries, updateTag, deleteTag]
