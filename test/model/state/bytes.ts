import type { Dice } from '../../support/data/seeded-random.ts'
import type { TestServer } from '../../support/servers/test-server.ts'
import { hashOf } from '../operations/contents.ts'
import type { Model, Version } from './model-state.ts'
import { isLive } from './tree.ts'

/** Downloads versions of live files, verifies their hashes and returns their number. */
export async function checkBytes(
  holdall: TestServer,
  model: Model,
  dice: Dice,
  some: number | 'all',
) {
  const files = [...model.entries.values()].filter((entry) => isLive(model, entry))
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
    throw new Error(
      `download of ${id}: status ${response.status}, hash ${actual}, expected ${sha256}`,
    )
}
