import type { Dice } from '../../support/data/seeded-random.ts'
import { drawRef, livingIn } from '../draws.ts'
import { reject } from '../refusal.ts'
import { type Entry, type Model, recordDeleted, type Share } from '../state/model-state.ts'
import { type Ref, requireLive } from '../state/paths.ts'
import { byKey, childrenOf, isBelow, isLive, subtreeOf } from '../state/tree.ts'
import { hashOf } from './contents.ts'
import { type Answer, type Client, mutation, type Operation } from './operation.ts'

const MAX_SHARE_COUNT = 40

type CreateShare = { entry: Ref; maxDownloads?: number }
const createShareLink: Operation<CreateShare> = {
  name: 'createShareLink',
  weight: 2,
  draw: (model, dice) =>
    model.shares.size >= MAX_SHARE_COUNT
      ? null
      : {
          entry: drawRef(model, dice, livingIn(model)),
          ...(dice.chance(60) && { maxDownloads: dice.below(4) }),
        },
  run: mutation('createShareLink', 'shareLink { id }', ({ shareLink }) => ({
    ids: [shareLink.id],
  })),
  apply(model, { entry: ref, maxDownloads: max = null }) {
    const { key: entry, workspace } = requireLive(model, ref)
    if (max === 0) reject('INVALID_INPUT')
    const share: Share = { key: model.next++, id: null, workspace, entry, max, count: 0 }
    model.shares.set(share.key, share)
    return { code: null, keys: [share.key] }
  },
}

const revokeShareLink: Operation<{ shareLinkId: string }> = {
  name: 'revokeShareLink',
  weight: 1,
  draw(model, dice) {
    const id = dice.pick([...model.shares.values()])?.id
    const shareLinkId = dice.chance(95) ? id : dice.pick(model.deletedIds)
    return shareLinkId ? { shareLinkId } : null
  },
  run: mutation('revokeShareLink', 'shareLinkId', ({ shareLinkId }) => ({ facts: shareLinkId })),
  apply(model, { shareLinkId }) {
    model.shares.delete(requireShare(model, shareLinkId).key)
    recordDeleted(model, shareLinkId)
    return { code: null, facts: shareLinkId }
  },
}

const requireShare = (model: Model, shareId: string): Share =>
  [...model.shares.values()].find(({ id }) => id === shareId) ?? reject('NOT_FOUND')

/** Returns the entry that a share link shows: the shared one, or a requested one below it. */
function resolveShared(model: Model, share: Share, entryId: string | undefined): Entry {
  const root = byKey(model, share.entry)
  const entry = [...model.entries.values()].find(({ id }) => id === entryId) ?? root
  const isVisible = isLive(model, root) && isBelow(model, entry, root)
  const isExhausted = share.max !== null && share.count >= share.max
  return isVisible && !isExhausted ? entry : reject('NOT_FOUND')
}

type Open = { shareId: string; entryId?: string }
function drawOpening(model: Model, dice: Dice, kind: Entry['kind']): Open | null {
  const share = dice.pick([...model.shares.values()])
  if (!share?.id) return null
  const root = byKey(model, share.entry)
  const candidates = dice.chance(90) ? subtreeOf(model, root) : livingIn(model)
  const entry = dice.pick(candidates.filter((candidate) => candidate.kind === kind))
  return entry?.id ? { shareId: share.id, entryId: entry.id } : null
}

/** Returns the URL of a share link, which is read once and kept after the link is revoked. */
async function shareUrlOf({ holdall, urls }: Client, shareId: string): Promise<string> {
  const known = urls.get(shareId)
  if (known) return known
  const { node } = await holdall.ask(
    'query ($id: ID!) { node(id: $id) { ... on ShareLink { url } } }',
    { id: shareId },
  )
  urls.set(shareId, node.url)
  return node.url
}

async function fetchShare(client: Client, { shareId, entryId }: Open) {
  const address = await shareUrlOf(client, shareId)
  return client.holdall.http(`${address}?folder=${entryId}`, { token: null })
}

const openShare: Operation<Open> = {
  name: 'openShare',
  weight: 2,
  draw: (model, dice) => drawOpening(model, dice, 'folder'),
  async run(client, input): Promise<Answer> {
    const response = await fetchShare(client, input)
    const body: any = await response.json()
    if (!response.ok) return { code: body.code }
    return {
      code: null,
      facts: body.children.map(({ name }: any) => name).sort(),
      ids: [body.entry.id],
    }
  },
  apply(model, { shareId, entryId }) {
    const entry = resolveShared(model, requireShare(model, shareId), entryId)
    const names = childrenOf(model, entry).map(({ name }) => name)
    return { code: null, facts: names.sort(), keys: [entry.key] }
  },
}

const downloadShared: Operation<Open> = {
  name: 'downloadShared',
  weight: 3,
  draw: (model, dice) => drawOpening(model, dice, 'file'),
  async run(client, input): Promise<Answer> {
    const { holdall, urls } = client
    const opened = await fetchShare(client, input)
    const body: any = await opened.json()
    // A download URL of the share stops working together with the share.
    const signed = `${input.shareId} ${input.entryId}`
    const url = opened.ok ? body.downloadUrl.url : urls.get(signed)
    if (!url) return { code: body.code }
    urls.set(signed, url)
    const response = await holdall.http(url, { token: null })
    if (!response.ok) return { code: ((await response.json()) as { code: string }).code }
    return { code: null, facts: hashOf(Buffer.from(await response.arrayBuffer())) }
  },
  apply(model, { shareId, entryId }) {
    const share = requireShare(model, shareId)
    const file = resolveShared(model, share, entryId)
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
