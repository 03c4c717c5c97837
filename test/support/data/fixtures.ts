import { onTestFinished } from 'vitest'
import {
  act,
  createFolder,
  createUpload,
  createWorkspace,
  type FileHandle,
  sendBytes,
  trashEntries,
  type UploadHandle,
  uploadFile,
} from '../client.ts'
import { blobOf } from '../inspection.ts'
import { startTestServer, type TestServer } from '../servers/test-server.ts'

export type Fixtures = {
  holdall: TestServer
  workspaceId: string
  rootId: string
  /** raw and raw/2025. */
  raw: { id: string }
  year: { id: string }
  /**
   * raw/2025/plate.csv, which has two versions, a tag and a linked row. The folder also has other.bin, of
   * 1,000 bytes.
   */
  plate: FileHandle
  other: FileHandle
  /** Keys of their blobs. */
  plateBlob: string
  otherBlob: string
  tagId: string
  /** A folder in the trash, with a file in it. */
  trashed: { id: string }
  /** Two uploads that have four of ten bytes. */
  upload: UploadHandle
  late: UploadHandle
}

/** Starts a server with fixtures, closed when the test ends. */
export async function serverWithFixtures(): Promise<Fixtures> {
  const holdall = await startTestServer()
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  return createFixtures(holdall)
}

export async function createFixtures(holdall: TestServer): Promise<Fixtures> {
  const { id: workspaceId, root } = await createWorkspace(holdall)
  const raw = await createFolder(holdall, { folder: { id: root.id }, name: 'raw' })
  const year = await createFolder(holdall, { folder: { id: raw.id }, name: '2025' })
  const files = await plates(holdall, { workspaceId, folderId: year.id })
  const trashed = await createFolder(holdall, { folder: { id: root.id }, name: 'gone' })
  await uploadFile(holdall, { workspaceId, folderId: trashed.id, name: 'old.txt', bytes: 'old' })
  await trashEntries(holdall, trashed)
  const upload = await openUpload(holdall, workspaceId)
  const late = await openUpload(holdall, workspaceId)
  const { id: tagId } = await holdall.app.db
    .selectFrom('tags')
    .select('id')
    .executeTakeFirstOrThrow()
  return {
    holdall,
    workspaceId,
    rootId: root.id,
    raw,
    year,
    ...files,
    tagId,
    trashed,
    upload,
    late,
  }
}

async function openUpload(holdall: TestServer, workspaceId: string) {
  const name = 'open.bin'
  const upload = await createUpload(holdall, { workspaceId, name, size: 10 })
  await sendBytes(holdall, upload, '0123')
  return upload
}

async function plates(holdall: TestServer, to: { workspaceId: string; folderId: string }) {
  const named = { ...to, name: 'plate.csv', onConflict: 'NEW_VERSION' }
  await uploadFile(holdall, { ...named, bytes: 'a,b\n1,2\n', tags: ['plate'] })
  const plate = await uploadFile(holdall, { ...named, bytes: 'a,b,c\n' })
  const other = await uploadFile(holdall, { ...to, name: 'other.bin', bytes: 'x'.repeat(1000) })
  const columns = [{ name: 'image', type: 'FILE_PATH' }]
  const { workspaceId } = to
  await act(holdall, 'createTable', { workspaceId, name: 'plates', columns }, '__typename')
  const link = { table: 'plates', column: 'image' }
  await act(holdall, 'linkRow', { fileId: plate.id, link }, '__typename')
  const [plateBlob, otherBlob] = [await blobOf(holdall, plate), await blobOf(holdall, other)]
  return { plate, other, plateBlob, otherBlob }
}
