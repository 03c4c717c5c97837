import type { Dice } from '../support/seeded-random.ts'
import type { TestServer } from '../support/test-server.ts'
import { hashOf } from './contents.ts'
import type { Version, World } from './model-state.ts'
import { isLive } from './tree.ts'

/** Downloads versions of living files, some or all of them, and holds them against their hashes; their number. */
export async function checkBytes(
  holdall: TestServer,
  world: World,
  dice: Dice,
  some: number | 'all',
) {
  const files = [...world.entries.values()].filter((entry) => isLive(world, entry))
  const all = files.flatMap(({ versions }) => versions)
  const versions = some === 'all' ? all : all.length > 0 ? dice.some(all, some) : []
  for (const version of versions) await checkVersion(holdall, version)
  return versions.length
}

async function checkVersion(holdall: TestServer, { id, sha256 }: Version) {
  const query = 'query ($id: ID!) { node(id: $id) { ... on FileVersion { downloadUrl { url } } } }'
  const { node } = await holdall.ask(query, { id })
  const response = await holdall.http(node.downloadUrl.url, { token: null })
  const actual = hashOf(Buffer.from(await response.arrayBuffer()))
  if (response.status !== 200 || actual !== sha256)
    throw new Error(`the bytes of ${id}: status ${response.status}, ${actual} and not ${sha256}`)
}
