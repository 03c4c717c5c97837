import { expect, test } from 'vitest'
import { createWorkspace, download, uploadFile } from '../support/client.ts'
import { openHouse } from '../support/house.ts'

test('an upload becomes a file with the same bytes', async () => {
  await using house = await openHouse({ env: { LOG_LEVEL: 'error' } })
  const { id: workspaceId } = await createWorkspace(house)
  const file = await uploadFile(house, { workspaceId, name: 'hello.txt', bytes: 'hello world' })
  expect(file).toMatchObject({ path: 'hello.txt', size: 11, kind: 'DOCUMENT' })
  expect((await download(house, file.id)).toString()).toBe('hello world')
})
