import { createHash, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, type TestContext, test } from 'vitest'
import { createWorkspace, download, entryByPath } from '../support/client.ts'
import { startTcpProxy } from '../support/network/tcp-proxy.ts'
import { startTestServer, type TestServer } from '../support/servers/test-server.ts'
import type { Toolchain } from './toolchain.ts'

const MIB = 1024 * 1024
const TIMEOUT_MS = 900_000

type Round = { holdall: TestServer; workspaceId: string; endpoint: string; toolchain: Toolchain }

/** Uploads a file as `name`, continues after a lost connection, and resolves when the file exists. */
type Upload = (
  toolchain: Toolchain,
  args: [endpoint: string, token: string, workspaceId: string, name: string, file: string],
) => Promise<string>

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Declares the tests of a tus client that sends requests of about 1 MiB. */
export function testTusClient(
  client: string,
  tools: (context: TestContext) => Promise<Toolchain>,
  upload: Upload,
  { isEmptySupported = true } = {},
) {
  const sizes = [...(isEmptySupported ? [0] : []), 1, 3 * MIB + 17]

  async function expectUpload({ holdall, workspaceId, endpoint, toolchain }: Round, size: number) {
    const [name, bytes] = [`${client} ${size}.bin`, randomBytes(size)]
    const path = join(toolchain.dir, name)
    await writeFile(path, bytes)
    await upload(toolchain, [endpoint, holdall.token, workspaceId, name, path])
    const file = await entryByPath(holdall, workspaceId, name)
    expect(sha256(await download(holdall, file?.id ?? ''))).toBe(sha256(bytes))
  }

  describe(client, { timeout: TIMEOUT_MS }, () => {
    test.for(sizes)('uploads a file of %i bytes', async (size, context) => {
      const toolchain = await tools(context)
      await using holdall = await startTestServer()
      const { id: workspaceId } = await createWorkspace(holdall)
      const endpoint = `${holdall.url}/uploads`
      await expectUpload({ holdall, workspaceId, endpoint, toolchain }, size)
    })

    test('continues after a lost connection', async (context) => {
      const toolchain = await tools(context)
      await using holdall = await startTestServer()
      const { id: workspaceId } = await createWorkspace(holdall)
      await using proxy = await startTcpProxy({
        host: '127.0.0.1',
        port: Number(new URL(holdall.url).port),
      })
      let [passed, cuts] = [0, 0]
      proxy.decideFate(({ length }) => {
        passed += length
        if (cuts > 0 || passed < 2.5 * MIB) return 'pass'
        cuts += 1
        return 'lost'
      })
      const endpoint = `http://127.0.0.1:${proxy.port}/uploads`
      await expectUpload({ holdall, workspaceId, endpoint, toolchain }, 6 * MIB)
      expect(cuts).toBe(1)
      // Only what the cut has lost was sent again.
      expect(passed).toBeLessThan(8 * MIB)
    })
  })
}
