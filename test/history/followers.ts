import { setTimeout as sleep } from 'node:timers/promises'
import { changesResult, toMirrorChanges } from '../support/data/changes.ts'
import { Mirror } from '../support/data/mirror.ts'
import type { TestServer } from '../support/servers/test-server.ts'
import { execute, untilAnswered } from './asking.ts'
import type { Journal } from './journal.ts'

type At = { holdall: TestServer; journal: Journal }
export type Place = { mirror: Mirror; cursor: string | undefined }

const query = `query ($id: ID!, $since: SyncCursor) {
  workspace(by: { id: $id }) { changes(since: $since, first: 100) { ${changesResult} } }
}`

/** Runs a sync client of one workspace and returns copies of its states on the way. */
export async function follow(at: At, workspaceId: string, isOver: () => boolean): Promise<Place[]> {
  const places: Place[] = [{ mirror: new Mirror(), cursor: undefined }]
  const now: Place = { mirror: new Mirror(), cursor: undefined }
  while (!isOver()) {
    await advance(at, workspaceId, now)
    if (places.length < 40) places.push(copyOf(now))
    await sleep(500)
  }
  return [...places, now]
}

/** Applies all changes since the cursor of `place`. */
export async function advance(at: At, workspaceId: string, place: Place): Promise<void> {
  for (let hasMore = true; hasMore; ) {
    const { changes, ...batch } = await untilAnswered('changes', async () => {
      const data = await execute(at, query, { id: workspaceId, since: place.cursor })
      return data?.workspace.changes ?? null
    })
    if (!changes) throw new Error(`changes: ${JSON.stringify(batch)}`)
    place.mirror.apply(toMirrorChanges(changes))
    place.cursor = batch.cursor
    hasMore = batch.hasMore
  }
}

function copyOf({ mirror, cursor }: Place): Place {
  const copy = new Mirror()
  for (const [id, node] of mirror.tree) copy.tree.set(id, node)
  return { mirror: copy, cursor }
}
