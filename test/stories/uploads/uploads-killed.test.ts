import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import {
  attempt,
  confirmUpload,
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  type UploadHandle,
} from '../../support/client.ts'
import { rawPatch, tusOf } from '../../support/network/tus.ts'
import { openProcess } from '../../support/servers/killable.ts'

const MIB = 1024 * 1024
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** None if not even the first one arrived. */
const stagedBytes = (dir: string, { id }: UploadHandle) =>
  readFile(join(dir, 'blobs/staged', id)).catch((error) => {
    if (error.code === 'ENOENT') return Buffer.of()
    throw error
  })

test('killed eight times, while bytes arrive and around confirm: every file exists once and is whole, and usage is exact', async () => {
  await using process = await openProcess()
  const { holdall, dir, start, kill } = process
  const { id: workspaceId } = await createWorkspace(holdall)
  const sent = new Map<string, Buffer>()

  const create = async (round: string) => {
    const bytes = randomBytes(24 * MIB + sent.size)
    sent.set(`${round}.bin`, bytes)
    const input = { workspaceId, name: `${round}.bin`, size: bytes.length, sha256: sha256(bytes) }
    return { bytes, upload: await createUpload(holdall, input) }
  }
  const finish = async (upload: UploadHandle, bytes: Buffer) => {
    const offset = await tusOf(holdall).offset(upload.url)
    if (offset < bytes.length) await sendBytes(holdall, upload, bytes.subarray(offset), offset)
    await confirmUpload(holdall, { uploadId: upload.id })
  }

  // While bytes arrive, at four moments; in the second half also after a confirmed first piece.
  for (const [round, ms] of [2, 15, 40, 90].entries()) {
    const { bytes, upload } = await create(`bytes-${round}`)
    const answered = round < 2 ? 0 : await sendBytes(holdall, upload, bytes.subarray(0, 5 * MIB))
    const raw = await rawPatch(holdall, upload.url, answered, bytes.length - answered)
    void raw.write(bytes.subarray(answered))
    await sleep(ms)
    await kill()
    const onDisk = await stagedBytes(dir, upload)
    await start()
    const offset = await tusOf(holdall).offset(upload.url)
    expect(offset).toBeGreaterThanOrEqual(answered)
    expect(offset).toBeLessThanOrEqual(onDisk.length)
    expect(onDisk.subarray(0, offset).equals(bytes.subarray(0, offset))).toBe(true)
    await finish(upload, bytes)
  }

  // Around confirm, at four moments.
  for (const [round, ms] of [3, 6, 10, 16].entries()) {
    const { bytes, upload } = await create(`confirm-${round}`)
    await sendBytes(holdall, upload, bytes)
    const confirming = attempt(
      holdall,
      'confirmUpload',
      { uploadId: upload.id },
      'file { id }',
    ).catch(() => null)
    await sleep(ms)
    await kill()
    const answered = await confirming
    await start()
    await finish(upload, bytes)
    if (answered)
      expect((await confirmUpload(holdall, { uploadId: upload.id })).id).toBe(answered.file.id)
  }

  const query = `query ($id: ID!) { workspace(by: { id: $id }) {
    usage { currentBytes olderVersionBytes reservedBytes storedBytes fileCount }
    entries(filter: { type: FILE }) { nodes { id name ... on File { sha256 size versions { totalCount } } } } } }`
  const { workspace } = await holdall.ask(query, { id: workspaceId })
  const total = [...sent.values()].reduce((sum, bytes) => sum + bytes.length, 0)
  expect(workspace.usage).toEqual({
    currentBytes: total,
    storedBytes: total,
    olderVersionBytes: 0,
    reservedBytes: 0,
    fileCount: 8,
  })
  expect(workspace.entries.nodes.map(({ name }: { name: string }) => name).sort()).toEqual(
    [...sent.keys()].sort(),
  )
  for (const { id, name, versions } of workspace.entries.nodes) {
    expect(versions.totalCount).toBe(1)
    expect(sha256(await download(holdall, id))).toBe(sha256(sent.get(name) ?? Buffer.of()))
  }
  expect(await readdir(join(dir, 'blobs/staged'))).toEqual([])
}, 180_000)
