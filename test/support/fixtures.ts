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
} from './client.ts'
import { blobOf } from './inspection.ts'
import { type House, openHouse } from './test-server.ts'

export type Furnished = {
  house: House
  workspaceId: string
  rootId: string
  /** raw, and raw/2025 in it. */
  raw: { id: string }
  year: { id: string }
  /** raw/2025/plate.csv with two versions, a tag and a linked row, and other.bin beside it, of 1,000 bytes. */
  plate: FileHandle
  other: FileHandle
  /** Keys of their bytes. */
  plateBlob: string
  otherBlob: string
  tagId: string
  /** A folder in the trash, with a file in it. */
  trashed: { id: string }
  /** Of ten bytes it has four; and another like it. */
  upload: UploadHandle
  late: UploadHandle
}

/** A house with a little of everything; gone when the test ends. */
export async function furnishedHouse(): Promise<Furnished> {
  const house = await openHouse()
  onTestFinished(() => house[Symbol.asyncDispose]())
  return furnish(house)
}

export async function furnish(house: House): Promise<Furnished> {
  const { id: workspaceId, root } = await createWorkspace(house)
  const raw = await createFolder(house, { parent: { id: root.id }, name: 'raw' })
  const year = await createFolder(house, { parent: { id: raw.id }, name: '2025' })
  const files = await plates(house, { workspaceId, folderId: year.id })
  const trashed = await createFolder(house, { parent: { id: root.id }, name: 'gone' })
  await uploadFile(house, { workspaceId, folderId: trashed.id, name: 'old.txt', bytes: 'old' })
  await trashEntries(house, trashed)
  const upload = await openUpload(house, workspaceId)
  const late = await openUpload(house, workspaceId)
  const { id: tagId } = await house.app.db.selectFrom('tags').select('id').executeTakeFirstOrThrow()
  return { house, workspaceId, rootId: root.id, raw, year, ...files, tagId, trashed, upload, late }
}

async function openUpload(house: House, workspaceId: string) {
  const name = 'open.bin'
  const upload = await createUpload(house, { workspaceId, name, size: 10 })
  await sendBytes(house, upload, '0123')
  return upload
}

async function plates(house: House, to: { workspaceId: string; folderId: string }) {
  const named = { ...to, name: 'plate.csv', onConflict: 'NEW_VERSION' }
  await uploadFile(house, { ...named, bytes: 'a,b\n1,2\n', tags: ['plate'] })
  const plate = await uploadFile(house, { ...named, bytes: 'a,b,c\n' })
  const other = await uploadFile(house, { ...to, name: 'other.bin', bytes: 'x'.repeat(1000) })
  const columns = [{ name: 'image', type: 'FILE_PATH' }]
  const { workspaceId } = to
  await act(house, 'createTable', { workspaceId, name: 'plates', columns }, '__typename')
  const link = { table: 'plates', column: 'image' }
  await act(house, 'linkRow', { fileId: plate.id, link }, '__typename')
  const [plateBlob, otherBlob] = [await blobOf(house, plate), await blobOf(house, other)]
  return { plate, other, plateBlob, otherBlob }
}
