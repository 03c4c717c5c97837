import { randomUUID } from 'node:crypto'
import { globSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  createUpload,
  createWorkspace,
  download,
  sendBytes,
  uploadFile,
} from '../../support/client.ts'
import { database } from '../../support/databases.ts'
import { run } from '../../support/disk/backups.ts'
import { newS3Prefix, s3IsGiven } from '../../support/s3.ts'
import { type Env, launchReady, stop } from '../../support/servers/launch.ts'
import { emptyFolder } from '../../support/servers/process.ts'

const ADMIN_TOKEN = 'what-was-in-a-bucket-comes-back'
const MIB = 1024 * 1024

async function place(): Promise<Env> {
  const { AWS_ACCESS_KEY_ID = '', AWS_SECRET_ACCESS_KEY = '' } = process.env
  const credentials = { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, DOWNLOADS: 'proxy' }
  const bucket = newS3Prefix() as Env
  return { ...bucket, ...credentials, DATA_DIR: await emptyFolder(), ADMIN_TOKEN }
}

describe.skipIf(!s3IsGiven || database !== 'SQLite')(
  'a backup of a bucket (skipped without S3)',
  () => {
    test('downloads all objects, and uploads them to an empty prefix', async () => {
      const env = await place()
      const server = await launchReady(env)
      const { id: workspaceId } = await createWorkspace(server.holdall)
      const bytes = Buffer.alloc(12 * MIB, randomUUID())
      const large = await uploadFile(server.holdall, { workspaceId, name: 'large', bytes })
      const begun = await createUpload(server.holdall, {
        workspaceId,
        name: 'begun',
        size: 10 * MIB,
      })
      await sendBytes(server.holdall, begun, bytes.subarray(0, 6 * MIB))
      const dir = join(await emptyFolder(), 'backup')
      expect(await run('backup', [dir], env)).toMatchObject({ code: 0 })
      expect(globSync('blobs/kept/*/*/*', { cwd: dir })).toHaveLength(1)
      await stop(server)

      const other = await place()
      const { code, output } = await run('restore', [dir], other)
      expect([code, output]).toEqual([0, expect.stringContaining('Nothing was found.')])
      const copy = await launchReady(other)
      expect((await download(copy.holdall, large.id)).equals(bytes)).toBe(true)
      await stop(copy)
    }, 120_000)

    test('leaves them in place with --rows-only', async () => {
      const env = await place()
      const server = await launchReady(env)
      const { id: workspaceId } = await createWorkspace(server.holdall)
      const file = await uploadFile(server.holdall, { workspaceId, name: 'file', bytes: 'bytes' })
      await stop(server)
      const dir = join(await emptyFolder(), 'backup')
      const { code, output } = await run('backup', [dir, '--rows-only'], env)
      expect([code, output]).toEqual([0, expect.stringContaining('only the rows')])
      expect(globSync('blobs/**/upl_*', { cwd: dir })).toEqual([])
      // This bucket, and a new database.
      const other = { ...env, DATA_DIR: await emptyFolder() }
      expect(await run('restore', [dir], other)).toMatchObject({ code: 0 })
      const copy = await launchReady(other)
      expect(`${await download(copy.holdall, file.id)}`).toBe('bytes')
      await stop(copy)
      const onDisk = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN }
      expect(await run('restore', [dir], onDisk)).toMatchObject({ code: 2 })
    }, 120_000)
  },
)
