import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { createFolder, createWorkspace } from '../support/client.ts'
import { openStream } from '../support/events.ts'
import { type House, openHouse } from '../support/house.ts'

let house: House
let workspaceId: string
beforeEach(async () => {
  house = await openHouse()
  onTestFinished(() => house[Symbol.asyncDispose]())
  workspaceId = (await createWorkspace(house)).id
})
const query = `subscription ($id: ID!, $since: SyncCursor) { workspaceChanges(workspaceId: $id, since: $since) {
  __typename ... on ChangeBatch { cursor hasMore changes { __typename
    ... on EntryUpserted { action entry { id name path parent { id } } } ... on EntryRemoved { entryId lastPath action } ... on UploadChanged { upload { id status } } } }
  ... on UserError { code message } } }`

test('probe', async () => {
  using stream = await openStream(house, query, { id: workspaceId })
  console.log(stream.response.status, [...stream.response.headers])
  console.log(JSON.stringify(await stream.next()))
  await createFolder(house, { workspaceId, name: 'raw' })
  console.log(JSON.stringify(await stream.next()))
  using nowhere = await openStream(house, query, { id: 'ws_none' })
  console.log(JSON.stringify(await nowhere.next()), JSON.stringify(await nowhere.next()), await nowhere.next())
  using old = await openStream(house, query, { id: workspaceId, since: 'garbage' }, { method: 'GET' })
  console.log(JSON.stringify(await old.next()), JSON.stringify(await old.next()), await old.next())
})
