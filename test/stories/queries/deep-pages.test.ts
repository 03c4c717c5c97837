import { expect, test } from 'vitest'
import { createWorkspace } from '../../support/client.ts'
import { manyFiles } from '../../support/disk/many-files.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

const FILES = 100_000
const PAGE = 25

test('in a folder of 100,000 files page 4,000 is as fast as page 1', async () => {
  await using holdall = await startTestServer()
  const { id, root } = await createWorkspace(holdall)
  await manyFiles({ workspaceId: id, folderId: root.id }, FILES).execute(holdall.app.db)
  const last = await children(holdall, root.id, `last: ${PAGE + 1}`)
  const page1 = () => children(holdall, root.id, `first: ${PAGE}`)
  const page4000 = () =>
    children(holdall, root.id, `first: ${PAGE}, after: "${last.pageInfo.startCursor}"`)

  expect((await page1()).nodes[0].name).toBe('file-000001.txt')
  expect((await page4000()).nodes.map(({ name }: { name: string }) => name).at(-1)).toBe(
    `file-${FILES}.txt`,
  )
  expect((await page4000()).pageInfo.hasNextPage).toBe(false)
  const [first, deep] = await medians([page1, page4000], 60)
  expect(deep).toBeLessThan(1.5 * (first ?? 0))
  expect(first).toBeLessThan(1.5 * (deep ?? 0))
}, 120_000)

async function children(holdall: TestServer, folder: string, span: string) {
  const fields = 'nodes { id name ... on File { size } } pageInfo { startCursor hasNextPage }'
  const query = `query ($id: ID!) { node(id: $id) { ... on Folder { children(${span}) { ${fields} } } } }`
  return (await holdall.ask(query, { id: folder })).node.children
}

/** Returns median milliseconds; the calls take turns so that other load affects all of them. */
async function medians(acts: (() => Promise<unknown>)[], rounds: number) {
  const times = acts.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    for (const [i, act] of acts.entries()) {
      const from = performance.now()
      await act()
      times[i]?.push(performance.now() - from)
    }
  }
  return times.map((taken) => taken.sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? 0)
}
