import type { Place } from './tenant-fixture.ts'

type Case = {
  /** The scope that the token needs. */
  scope: string
  /** Inputs that succeed in the user's own workspace; together they fill every slot for an id. */
  inputs: (place: Place) => Record<string, unknown>[]
  /** Result for a VIEWER, if it is not FORBIDDEN. */
  viewer?: string
  /** Results for a token of another workspace, if other than FORBIDDEN or NOT_FOUND. */
  bound?: string
  /** A slot of an id that the mutation rejects, whatever it refers to. */
  rejected?: string
}

const both = (id: string, place: Place, path: string) => [
  { id },
  { path: { workspaceId: place.workspaceId, path } },
]
const file = (place: Place) => both(place.fileId, place, place.filePath)
const folder = (place: Place) => both(place.folderId, place, place.folderPath)

/** Entries in the trash have no path. */
const PATH_OF_ENTRY = 'entries[].entry.path.workspaceId'

/** The cases of each mutation. A new mutation fails until it is listed here. */
export const mutations: Record<string, Case> = {
  createWorkspace: { scope: 'WORKSPACES_WRITE', inputs: () => [{ name: 'new' }], viewer: 'OK' },
  updateWorkspace: {
    scope: 'WORKSPACES_WRITE',
    inputs: ({ workspaceId }) => [{ workspaceId, name: 'other' }],
  },
  addMember: {
    scope: 'MEMBERS_WRITE',
    inputs: ({ workspaceId }) => [{ workspaceId, email: 'new@example.org' }],
  },
  updateMember: {
    scope: 'MEMBERS_WRITE',
    inputs: ({ workspaceId, userId }) => [{ workspaceId, userId, role: 'OWNER' }],
  },
  removeMember: {
    scope: 'MEMBERS_WRITE',
    inputs: ({ workspaceId, userId, serviceId }) => [
      { workspaceId, userId },
      { workspaceId, userId, transferShareLinksTo: serviceId },
    ],
  },
  createServiceAccount: {
    scope: 'MEMBERS_WRITE',
    inputs: ({ workspaceId }) => [{ workspaceId, name: 'new' }],
  },
  deleteServiceAccount: {
    scope: 'MEMBERS_WRITE',
    inputs: ({ serviceId }) => [{ userId: serviceId }],
  },
  createApiToken: {
    scope: 'TOKENS_WRITE',
    inputs: ({ workspaceId, serviceId }) => [
      { name: 'new', scopes: [], workspaceId, userId: serviceId },
    ],
  },
  revokeAllApiTokens: { scope: 'TOKENS_WRITE', inputs: () => [{}], viewer: 'OK', bound: 'OK' },
  // For this mutation the token of another user does not exist.
  revokeApiToken: {
    scope: 'TOKENS_WRITE',
    inputs: ({ tokenId }) => [{ tokenId }],
    viewer: 'NOT_FOUND',
  },
  updateTag: { scope: 'FILES_WRITE', inputs: ({ tagId }) => [{ tagId, name: 'other' }] },
  deleteTag: { scope: 'FILES_WRITE', inputs: ({ tagId }) => [{ tagId }] },
  tagEntries: {
    scope: 'FILES_WRITE',
    inputs: (place) => file(place).map((entry) => ({ entries: [{ entry }], add: ['new'] })),
  },
  createFolder: {
    scope: 'FILES_WRITE',
    inputs: (place) => [
      { workspaceId: place.workspaceId, name: 'new' },
      ...folder(place).map((into) => ({ folder: into, name: 'new' })),
    ],
  },
  updateEntry: {
    scope: 'FILES_WRITE',
    inputs: (place) => file(place).map((entry) => ({ entry, name: 'other' })),
  },
  moveEntries: { scope: 'FILES_WRITE', inputs: into },
  copyEntries: { scope: 'FILES_WRITE', inputs: into },
  trashEntries: {
    scope: 'FILES_WRITE',
    inputs: (place) => file(place).map((entry) => ({ entries: [{ entry }] })),
  },
  restoreEntries: {
    scope: 'FILES_WRITE',
    inputs: (place) =>
      folder(place).map((fallbackFolder) => ({
        entries: [{ entry: { id: place.trashedId } }],
        fallbackFolder,
      })),
    rejected: PATH_OF_ENTRY,
  },
  purgeEntries: {
    scope: 'TRASH_PURGE',
    inputs: ({ trashedId }) => [
      { entries: [{ entry: { id: trashedId } }], mode: 'ALL_OR_NOTHING' },
    ],
    rejected: PATH_OF_ENTRY,
  },
  emptyTrash: { scope: 'TRASH_PURGE', inputs: ({ workspaceId }) => [{ workspaceId }] },
  restoreVersion: {
    scope: 'FILES_WRITE',
    inputs: ({ olderVersionId }) => [{ versionId: olderVersionId }],
  },
  deleteVersion: {
    scope: 'FILES_WRITE',
    inputs: ({ olderVersionId }) => [{ versionId: olderVersionId }],
  },
  createUploads: {
    scope: 'FILES_WRITE',
    inputs: ({ workspaceId, folderId, fileId }) => [
      { uploads: [{ workspaceId, folderId, name: 'new', size: 1 }] },
      { uploads: [{ workspaceId, versionOf: fileId, name: 'new', size: 1 }] },
    ],
  },
  confirmUploads: {
    scope: 'FILES_WRITE',
    inputs: ({ receivedId }) =>
      ['BEST_EFFORT', 'ALL_OR_NOTHING'].map((mode) => ({
        uploads: [{ uploadId: receivedId }],
        mode,
      })),
    viewer: 'NOT_FOUND',
  },
  createTable: {
    scope: 'TABLES_WRITE',
    inputs: ({ workspaceId }) => [
      { workspaceId, name: 'other', columns: [{ name: 'image', type: 'FILE_PATH' }] },
    ],
  },
  linkRow: {
    scope: 'TABLES_WRITE',
    inputs: ({ fileId, tableName }) => [{ fileId, link: { table: tableName, column: 'image' } }],
  },
  createUpload: {
    scope: 'FILES_WRITE',
    inputs: ({ workspaceId, folderId, fileId }) => [
      { workspaceId, folderId, name: 'new', size: 1 },
      { workspaceId, versionOf: fileId, name: 'new', size: 1 },
    ],
  },
  // Only its creator sees an upload.
  confirmUpload: {
    scope: 'FILES_WRITE',
    inputs: ({ receivedId }) => [{ uploadId: receivedId }],
    viewer: 'NOT_FOUND',
  },
  cancelUpload: {
    scope: 'FILES_WRITE',
    inputs: ({ uploadId }) => [{ uploadId }],
    viewer: 'NOT_FOUND',
  },
  importArchive: {
    scope: 'FILES_WRITE',
    inputs: (place) =>
      folder(place).map((destination) => ({
        uploadId: place.archiveUploadId,
        folder: destination,
      })),
    viewer: 'NOT_FOUND',
  },
  createShareLink: {
    scope: 'SHARES_WRITE',
    inputs: (place) => file(place).map((entry) => ({ entry })),
  },
  revokeShareLink: {
    scope: 'SHARES_WRITE',
    inputs: ({ shareLinkId }) => [{ shareLinkId }],
  },
}

function into(place: Place) {
  const [files, folders] = [file(place), folder(place)]
  return files.map((entry, i) => ({ entries: [{ entry }], folder: folders[i] }))
}

/** One object of each type that has an id. */
export const nodes: Record<string, (place: Place) => string> = {
  Workspace: ({ workspaceId }) => workspaceId,
  Folder: ({ folderId }) => folderId,
  File: ({ fileId }) => fileId,
  FileVersion: ({ olderVersionId }) => olderVersionId,
  Upload: ({ uploadId }) => uploadId,
  Tag: ({ tagId }) => tagId,
  ApiToken: ({ tokenId }) => tokenId,
  User: ({ userId }) => userId,
  ActivityEvent: ({ eventId }) => eventId,
  ShareLink: ({ shareLinkId }) => shareLinkId,
  Member: ({ memberId }) => memberId,
  Usage: ({ usageId }) => usageId,
  Table: ({ tableId }) => tableId,
  TableRow: ({ rowId }) => rowId,
}
const more = ['rootId', 'versionId', 'trashedId', 'receivedId'] as const
/** Returns all ids of a workspace. */
export const idsOf = (place: Place) => [
  ...Object.values(nodes).map((id) => id(place)),
  ...more.map((key) => place[key]),
]
