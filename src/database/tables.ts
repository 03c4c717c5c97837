import type { Generated, Selectable } from 'kysely'

/** Every table, column by column. Moments are milliseconds since 1970 (UTC), sizes are bytes, JSON is text. */
export type Tables = {
  settings: { name: string; value: string }
  /** They sign URLs and cursors; the id '' is that of the secret of the versions before. */
  signingKeys: { id: string; secret: string; createdAt: number; activeFrom: number }
  users: {
    id: string
    name: string
    email: string | null
    createdAt: number
    kind: Generated<UserKind>
    /** Of a service account: the one workspace that it belongs to. */
    workspaceId: string | null
  }
  apiTokens: {
    id: string
    name: string
    /** The first characters of the secret, for people to tell tokens apart. */
    prefix: string
    secretHash: string
    userId: string
    workspaceId: string | null
    scopes: string
    createdAt: number
    expiresAt: number | null
    lastUsedAt: number | null
    revokedAt: number | null
    /** The user who made it; null where it was made on the server, or before this was recorded. */
    issuerId: string | null
    /** The token with which it was made: it can do no more than that one, and ends with it. */
    parentId: string | null
  }
  workspaces: {
    id: string
    name: string
    slug: string
    description: string | null
    visibility: Visibility
    quotaBytes: number | null
    trashRetentionDays: number
    autoFile: number
    rootId: string
    createdAt: number
    /** All versions of all files, in the trash or not; what the quota is held against, with reservedBytes. */
    usedBytes: number
    reservedBytes: number
    trashedBytes: number
    /** What the blobs take: the same content counts once. */
    storedBytes: number
    /** Number of the last activity: the sync cursor. */
    lastSeq: number
  }
  members: { workspaceId: string; userId: string; role: WorkspaceRole; joinedAt: number }
  activity: {
    id: string
    workspaceId: string
    seq: number
    action: string
    actorId: string | null
    tokenId: string | null
    entryId: string | null
    path: string | null
    at: number
    details: string
  }
  /** What concerns no single workspace. */
  serverActivity: {
    id: string
    action: string
    actorId: string | null
    tokenId: string | null
    at: number
    details: string
  }
  /** Folders and files. The root of a workspace has the empty name and no parent. */
  entries: {
    id: string
    workspaceId: string
    kind: EntryKind
    /** Null for a root, and for what was itself put in the trash: it has left its folder. */
    parentId: string | null
    name: string
    /** The name as names compare: NFC and case-folded. */
    nameKey: string
    description: string | null
    metadata: string
    revision: number
    createdAt: number
    createdBy: string | null
    updatedAt: number
    updatedBy: string | null
    /** A file's current version; a folder's live files, however deep. */
    size: number
    // Folders only.
    path: string | null
    /** nameKeys joined, each with a closing slash: `results/2025/`; the root's is empty. */
    pathKey: string | null
    olderBytes: number
    fileCount: number
    folderCount: number
    /** The trashed folder that this folder went with (or is). */
    trashRootId: string | null
    // Files only.
    mediaType: string | null
    mediaKind: MediaKind | null
    sha256: string | null
    versionId: string | null
    // What was itself put in the trash.
    trashedAt: number | null
    trashedBy: string | null
    originalParentId: string | null
    originalPath: string | null
    /** Set when a purge has begun: gone for everybody, rows and bytes follow. */
    purgingAt: number | null
  }
  /** Live files directly in a folder, by kind. */
  folderKinds: { folderId: string; mediaKind: MediaKind; bytes: number; fileCount: number }
  tags: {
    id: string
    workspaceId: string
    name: string
    nameKey: string
    color: string | null
    createdAt: number
  }
  entryTags: { entryId: string; tagId: string }
  versions: {
    id: string
    workspaceId: string
    fileId: string
    number: number
    size: number
    mediaType: string
    sha256: string
    blobId: string
    comment: string | null
    createdAt: number
    createdBy: string | null
  }
  /** One row for each content in a workspace; the id is the key of its bytes. */
  blobs: {
    id: string
    workspaceId: string
    sha256: string
    size: number
    refs: number
    /** Set with the last reference gone; the bytes may be unlinked, nobody takes a new reference. */
    unreferencedAt: number | null
    /** When the bytes were last read from end to end; 0: nobody knows. */
    verifiedAt: Generated<number>
    /** What was found wrong with the bytes: JSON of what they are and since when. */
    damage: string | null
  }
  uploads: {
    id: string
    workspaceId: string
    createdBy: string
    tokenId: string | null
    status: UploadStatus
    name: string
    folderId: string | null
    /** Folder path below folderId (or the root), made at confirm when missing; empty for the folder itself. */
    path: string
    versionOf: string | null
    size: number | null
    offset: number
    reservedBytes: number
    mediaType: string | null
    sha256: string | null
    description: string | null
    tags: string | null
    metadata: string | null
    onConflict: NameConflictMode
    /** 1 where the last byte also confirms. */
    autoConfirm: number
    /** Code of the refusal that ended the confirm of an autoConfirm upload; confirmUpload may still succeed. */
    confirmRefusal: string | null
    /** The Upload-Metadata header as the client sent it, given back on HEAD. */
    tusMetadata: string | null
    idempotencyKey: string | null
    /** Grows with each lease; a writer that holds an older number writes nothing. */
    fence: number
    /** While PROCESSING: when another may take the confirm over, by the clock of database/clock.ts. */
    leaseUntil: number | null
    /** While PROCESSING, once that takes long: the job that goes on with it where its process dies. */
    confirmJob: string | null
    createdAt: number
    expiresAt: number
    confirmedAt: number | null
    fileId: string | null
    versionId: string | null
    failures: string
    /** By which door the bytes come, and no other takes them. */
    transport: UploadTransport
    /** tus, Upload-Concat as the client sent it: `partial`, or `final;` and the URLs of the parts. */
    concat: string | null
    /** Of a partial upload: the final one that has it. */
    joinedInto: string | null
    /** Where several processes may write: the request that does so, and the end of its lease by the database's own clock. */
    writer: string | null
    writerUntil: number | null
    /** Number of the last request that wanted to write; one that began before it makes way. */
    turn: Generated<number>
  }
  /** What shows an entry to whoever holds its URL. The URL is derived from the id: nothing secret is kept but the password's hash. */
  shareLinks: {
    id: string
    workspaceId: string
    entryId: string
    passwordHash: string | null
    /** Wrong passwords since the last right one, and until when no more are looked at. */
    failures: number
    lockedUntil: number
    expiresAt: number | null
    maxDownloads: number | null
    downloadCount: number
    createdAt: number
    createdBy: string | null
  }
  /** Of bytes that were in an archive. */
  blobCrcs: { blobId: string; crc32: number }
  /** Downloads that were counted, by the signed link that began them: it may go on without being counted again. */
  shareDownloads: { shareLinkId: string; link: string; beganAt: number; resumedBytes: number }
  jobs: {
    id: string
    kind: string
    payload: string
    runAt: number
    leaseOwner: string | null
    leaseUntil: number | null
    attempts: number
    lastError: string | null
  }
  /** What a token, an address or a link has taken, until `endsAt`; PostgreSQL only, where processes count together. */
  backups: { id: string; leaseUntil: number }
  tallies: { key: string; points: number; endsAt: number }
  /** Entries and tags as search knows them, by the numbers that its index calls them. */
  searchDocuments: { number: Generated<number>; id: string }
  /** The catalogue of the users' own tables: made by createTable, or an operator's that LINKABLE_TABLES lets in. */
  userTables: {
    /** What the database calls it: made from the workspace and the name, or the operator's own. */
    sqlName: string
    /** Null: an operator's table that all workspaces share. */
    workspaceId: string | null
    name: string
    nameKey: string
    /** The whole numbers that tell its rows apart. */
    keyColumn: string
    columns: string
    /** 1 where LINKABLE_TABLES let it in. */
    letIn: number
    createdAt: number
  }
  /** Which cell of which row holds the path of which file. */
  rowLinks: {
    workspaceId: string
    sqlName: string
    rowKey: number
    column: string
    fileId: string
    /** As it was last written to the cell. */
    path: string
    /** The upload that was confirmed with this row. */
    uploadId: string | null
  }
  /** Rows that were taken away with an entry, until it is restored or purged. */
  takenRows: {
    entryId: string
    sqlName: string
    rowKey: number
    column: string
    row: string
    links: string
  }
  /** Uploads to a bucket that are not adopted yet. */
  multiparts: {
    key: string
    size: number | null
    partSize: number
    multipartId: string | null
    /** Rises with every append: whoever holds an older one writes nothing. */
    turn: number
    /** Bytes that are durable; the first `inParts` of them are in parts, the others in tails. */
    length: number
    inParts: number
    /** ETag of the object that has them all. */
    whole: string | null
    modifiedAt: number
  }
  multipartParts: { key: string; number: number; etag: string; size: number }
  /** Objects of their own, with bytes below a part. */
  multipartTails: { key: string; name: string; start: number; size: number }
  /** One row: what this database and its store are known to each other by, and whether the sweeper may act. */
  installation: {
    id: string
    /** Rises whenever a server confirms that the store is the one of this database. */
    starts: number
    /** Blobs up to this id may be missing in the store: an operator accepted that (ADOPT_STORE). */
    acceptedUpTo: string | null
    /** Set while nothing is deleted from the store, and why. */
    pausedAt: number | null
    pausedBecause: string | null
    /** Set while the last sweep found more than it may put aside unasked, and how many objects that were. */
    refusedAt: number | null
    refusedObjects: Generated<number>
  }
  /** What was written to the store to confirm it, the latest ones: a store that bears another was used with another database. */
  storeStamps: { stamp: string; number: number }
  /** Objects of the store that no row knows. */
  quarantine: {
    key: string
    place: Place
    size: number
    foundAt: number
    /** How long it has been observed there; a clock that leaps adds little. */
    ageMs: number
    observedAt: number
  }
}

/** Where in the store an object lies. */
export type Place = 'staged' | 'kept'

/** A service account is a user without a person behind it: it belongs to one workspace. */
export type UserKind = 'PERSON' | 'SERVICE'
export type EntryKind = 'folder' | 'file'
export type Visibility = 'PRIVATE' | 'PUBLIC'
export type WorkspaceRole = 'OWNER' | 'EDITOR' | 'VIEWER'
export type NameConflictMode = 'FAIL' | 'RENAME' | 'NEW_VERSION' | 'REPLACE'
export type MediaKind =
  | 'IMAGE'
  | 'AUDIO'
  | 'VIDEO'
  | 'DOCUMENT'
  | 'SPREADSHEET'
  | 'DATA'
  | 'CODE'
  | 'ARCHIVE'
  | 'OTHER'
export type ColumnType =
  | 'TEXT'
  | 'INTEGER'
  | 'REAL'
  | 'BOOLEAN'
  | 'TIMESTAMP'
  | 'JSON'
  | 'FILE_PATH'
export type UploadTransport = 'TUS' | 'SIGNED_PUT' | 'FORM'
export type UploadStatus =
  | 'CREATED'
  | 'RECEIVING'
  | 'RECEIVED'
  | 'PROCESSING'
  | 'COMPLETE'
  | 'FAILED'
  | 'CANCELED'
  | 'EXPIRED'

export type Row<T extends keyof Tables> = Selectable<Tables[T]>
