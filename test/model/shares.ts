import type { Dice } from '../support/seeded-random.ts'
import { hashOf } from './contents.ts'
import { drawRef, livingIn } from './draws.ts'
import { bury, type Entry, type Share, type World } from './model-state.ts'
import { type Answer, type Client, mutation, type Operation } from './operation.ts'
import { type Ref, requireLive } from './paths.ts'
import { refuse } from './refusal.ts'
import { byKey, childrenOf, isBelow, isLive, subtreeOf } from './tree.ts'

const MOST_SHARES = 40

type CreateShare = { entry: Ref; maxDownloads?: number }
const createShareLink: Operation<CreateShare> = {
  name: 'createShareLink',
  weight: 2,
  draw: (world, dice) =>
    world.shares.size >= MOST_SHARES
      ? null
      : {
          entry: drawRef(world, dice, livingIn(world)),
          ...(dice.chance(60) && { maxDownloads: dice.below(4) }),
        },
  run: mutation('createShareLink', 'shareLink { id }', ({ shareLink }) => ({
    ids: [shareLink.id],
  })),
  apply(world, { entry: ref, maxDownloads: most = null }) {
    if (most === 0) refuse('INVALID_INPUT')
    const { key: entry, workspace } = requireLive(world, ref)
    const share: Share = { key: world.next++, id: null, workspace, entry, most, count: 0 }
    world.shares.set(share.key, share)
    return { code: null, is: [share.key] }
  },
}

const revokeShareLink: Operation<{ shareLinkId: string }> = {
  name: 'revokeShareLink',
  weight: 1,
  draw(world, dice) {
    const id = dice.pick([...world.shares.values()])?.id
    const shareLinkId = dice.chance(95) ? id : dice.pick(world.gone)
    return shareLinkId ? { shareLinkId } : null
  },
  run: mutation('revokeShareLink', 'shareLinkId', ({ shareLinkId }) => ({ facts: shareLinkId })),
  apply(world, { shareLinkId }) {
    world.shares.delete(requireShare(world, shareLinkId).key)
    bury(world, shareLinkId)
    return { code: null, facts: shareLinkId }
  },
}

const requireShare = (world: World, shareId: string): Share =>
  [...world.shares.values()].find(({ id }) => id === shareId) ?? refuse('NOT_FOUND')

/** What a link shows: of what is shared itself, or of what it is asked for below. */
function shownBy(world: World, share: Share, entryId: string | undefined): Entry {
  const root = byKey(world, share.entry)
  const entry = [...world.entries.values()].find(({ id }) => id === entryId) ?? root
  const isShown = isLive(world, root) && isBelow(world, entry, root)
  const isUsedUp = share.most !== null && share.count >= share.most
  return isShown && !isUsedUp ? entry : refuse('NOT_FOUND')
}

type Open = { shareId: string; entryId?: string }
function drawOpening(world: World, dice: Dice, kind: Entry['kind']): Open | null {
  const share = dice.pick([...world.shares.values()])
  if (!share?.id) return null
  const root = byKey(world, share.entry)
  const shown = dice.chance(90) ? subtreeOf(world, root) : livingIn(world)
  const entry = dice.pick(shown.filter((shown) => shown.kind === kind))
  return entry?.id ? { shareId: share.id, entryId: entry.id } : null
}

/** The address of a link, asked for while it was there: whoever has it keeps it. */
async function addressOf({ holdall, addresses }: Client, shareId: string): Promise<string> {
  const known = addresses.get(shareId)
  if (known) return known
  const { node } = await holdall.ask(
    'query ($id: ID!) { node(id: $id) { ... on ShareLink { url } } }',
    { id: shareId },
  )
  addresses.set(shareId, node.url)
  return node.url
}

async function open(client: Client, { shareId, entryId }: Open) {
  const address = await addressOf(client, shareId)
  return client.holdall.http(`${address}?folder=${entryId}`, { token: null })
}

const openShare: Operation<Open> = {
  name: 'openShare',
  weight: 2,
  draw: (world, dice) => drawOpening(world, dice, 'folder'),
  async run(client, opening): Promise<Answer> {
    const response = await open(client, opening)
    const said: any = await response.json()
    if (!response.ok) return { code: said.code }
    return {
      code: null,
      facts: said.children.map(({ name }: any) => name).sort(),
      ids: [said.entry.id],
    }
  },
  apply(world, { shareId, entryId }) {
    const entry = shownBy(world, requireShare(world, shareId), entryId)
    const names = childrenOf(world, entry).map(({ name }) => name)
    return { code: null, facts: names.sort(), is: [entry.key] }
  },
}

const downloadShared: Operation<Open> = {
  name: 'downloadShared',
  weight: 3,
  draw: (world, dice) => drawOpening(world, dice, 'file'),
  async run(client, opening): Promise<Answer> {
    const { holdall, addresses } = client
    const opened = await open(client, opening)
    const said: any = await opened.json()
    // A link that was signed through the share while it showed something ends with it.
    const signed = `${opening.shareId} ${opening.entryId}`
    const url = opened.ok ? said.downloadUrl.url : addresses.get(signed)
    if (!url) return { code: said.code }
    addresses.set(signed, url)
    const response = await holdall.http(url, { token: null })
    if (!response.ok) return { code: ((await response.json()) as { code: string }).code }
    return { code: null, facts: hashOf(Buffer.from(await response.arrayBuffer())) }
  },
  apply(world, { shareId, entryId }) {
    const share = requireShare(world, shareId)
    const file = shownBy(world, share, entryId)
    share.count += 1
    return { code: null, facts: file.versions.at(-1)?.sha256 }
  },
}

export const shareOperations: Operation[] = [
  createShareLink,
  revokeShareLink,
  openShare,
  downloadShared,
]
