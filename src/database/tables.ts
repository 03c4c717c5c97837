import type { Generated, Selectable } from 'kysely'

/**
 * Every table, column by column. Moments are milliseconds since 1970 (UTC), sizes are bytes, JSON is text.
 */
export type Tables = {
  settings: { name: string; value: string }
  /** Keys that sign URLs and cursors. The id '' belongs to the single secret of earlier versions. */
  signingKeys: { id: string; secret: string; createdAt: number; activeFrom: number }
  users: {
    id: string
    name: string
    email: string | null
    createdAt: number
    kind: Generated<UserKind>
    /** The only workspace of a service account; null for a person. */
    workspaceId: string | null
  }
  apiTokens: {
    id: string
    name: string
    /** The first characters of the secret, by which people recognize the token. */
    prefix: string
    secretHash: string
    userId: string
    workspaceId: string | null
    scopes: string
    createdAt: number
    expiresAt: number | null
    lastUsedAt: number | null
    revokedAt: number | null
    /** The user who created it; null if created on the server, or before this column existed. */
    issuerId: string | null
    /** The token that created it, which limits its rights and whose revocation revokes it. */
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
    /**
     * Size of all versions of all files, including the trash. Counts towards the quota with reservedBytes.
     */
    usedBytes: number
    reservedBytes: number
    trashedBytes: number
    /** Size of the blobs: identical content counts once. */
    storedBytes: number
    /** Number of the latest activity: the sync cursor. */
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
  /** Activity that belongs to no single workspace. */
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
    /** Null for a root and for an entry that was itself moved to the trash: it has left its folder. */
    parentId: string | null
    name: string
    /** The name in the form used for comparison: NFC and case-folded. */
    nameKey: string
    description: string | null
    metadata: string
    revision: number
    createdAt: number
    createdBy: string | null
    updatedAt: number
    updatedBy: string | null
    /** Size of a file's current version, or of all live files below a folder. */
    size: number
    // Folders only.
    path: string | null
    /** nameKeys joined, each with a closing slash: `results/2025/`; the root's is empty. */
    pathKey: string | null
    olderBytes: number
    fileCount: number
    folderCount: number
    /** The trashed folder that this folder is or is inside of. */
    trashRootId: string | null
    // Files only.
    mediaType: string | null
    mediaKind: MediaKind | null
    sha256: string | null
    versionId: string | null
    /** Of the current version. */
    contentModifiedAt: number | null
    // Only for entries that were themselves moved to the trash.
    trashedAt: number | null
    trashedBy: string | null
    originalParentId: string | null
    originalPath: string | null
    /**
     * Set when a purge has begun: the entry no longer exists for clients; rows and bytes are deleted later.
     */
    purgingAt: number | null
  }
  /** Number and size of the live files directly in a folder, by kind. */
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
    /** When the content was last modified before the upload, as stated by the client; null if unknown. */
    contentModifiedAt: number | null
  }
  /** One row per distinct content in a workspace; the id is the key of its bytes in the store. */
  blobs: {
    id: string
    workspaceId: string
    sha256: string
    size: number
    refs: number
    /** Set when the last reference is removed: no new reference is added, and the bytes may be deleted. */
    unreferencedAt: number | null
    /** When the bytes were last read completely; 0 if unknown. */
    verifiedAt: Generated<number>
    /** JSON with the damage that was found and the time since when it is known; null if none is known. */
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
    /**
     * Folder path below folderId (or the root), created at confirm if missing; empty for the folder itself.
     */
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
    /** Of the version that the upload becomes. */
    contentModifiedAt: number | null
    onConflict: NameConflictMode
    /** 1 if the upload is confirmed when its last byte arrives. */
    autoConfirm: number
    /** Error code that ended the confirm of an autoConfirm upload; confirmUpload may still succeed. */
    confirmRefusal: string | null
    /** The Upload-Metadata header as the client sent it, returned on HEAD. */
    tusMetadata: string | null
    idempotencyKey: string | null
    /** Increases with each lease; a writer with an older number cannot write. */
    fence: number
    /** While PROCESSING: when the confirm lease ends, by the lease clock of clock.ts. */
    leaseUntil: number | null
    /** During a slow confirm: the job that resumes it if its process dies. */
    confirmJob: string | null
    createdAt: number
    expiresAt: number
    confirmedAt: number | null
    fileId: string | null
    versionId: string | null
    failures: string
    /** The only protocol that may send the bytes. */
    transport: UploadTransport
    /** tus Upload-Concat as the client sent it: `partial`, or `final;` and the URLs of the parts. */
    concat: string | null
    /** The final upload that a partial upload is part of. */
    joinedInto: string | null
    /**
     * PostgreSQL only: the request that holds the write lease, and the end of the lease by the database's
     * clock.
     */
    writer: string | null
    writerUntil: number | null
    /** Number of the latest request that wants to write; an earlier request stops writing. */
    turn: Generated<number>
  }
  /**
   * Links that give access to an entry. The URL is derived from the id: only the password's hash is stored.
   */
  shareLinks: {
    id: string
    workspaceId: string
    entryId: string
    passwordHash: string | null
    /** Number of wrong passwords since the last correct one, and the end of the resulting lock. */
    failures: number
    lockedUntil: number
    expiresAt: number | null
    maxDownloads: number | null
    downloadCount: number
    createdAt: number
    createdBy: string | null
  }
  /** CRC-32 of blobs that were part of an archive. */
  blobCrcs: { blobId: string; crc32: number }
  /** Counted downloads by signed link: resuming one is not counted again. */
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
  /** Running backups: while one runs, the bytes of purged files are not deleted. */
  backups: { id: string; leaseUntil: number }
  /** Rate limit counters of tokens, addresses and links; PostgreSQL only. */
  tallies: { key: string; points: number; endsAt: number }
  /** Numbers of entries and tags in the search index. */
  searchDocuments: { number: Generated<number>; id: string }
  /** User tables: created by createTable, or operator tables that LINKABLE_TABLES exposes. */
  userTables: {
    /** Table name in the database: derived from workspace and name, or the operator's own. */
    sqlName: string
    /** Null for an operator's table, which all workspaces share. */
    workspaceId: string | null
    name: string
    nameKey: string
    /** The integer primary key column. */
    keyColumn: string
    columns: string
    /** 1 if the table comes from LINKABLE_TABLES. */
    letIn: number
    createdAt: number
  }
  /** Links from a table cell to the file whose path it contains. */
  rowLinks: {
    workspaceId: string
    sqlName: string
    rowKey: number
    column: string
    fileId: string
    /** The path that was last written to the cell. */
    path: string
    /** The upload that was confirmed together with this row. */
    uploadId: string | null
  }
  /** Rows removed when an entry was moved to the trash, kept until it is restored or purged. */
  takenRows: {
    entryId: string
    sqlName: string
    rowKey: number
    column: string
    row: string
    links: string
  }
  /** Staged uploads to a bucket that are not committed yet. */
  multiparts: {
    key: string
    size: number | null
    partSize: number
    multipartId: string | null
    /** Fencing token: increases with every append; a writer with an older one cannot write. */
    turn: number
    /** Number of durable bytes; the first `inParts` of them are in parts, the others in incomplete parts. */
    length: number
    inParts: number
    /** ETag of the complete object. */
    whole: string | null
    modifiedAt: number
  }
  multipartParts: { key: string; number: number; etag: string; size: number }
  /** The incomplete parts: separate objects with bytes that do not fill a part yet. */
  multipartTails: { key: string; name: string; start: number; size: number }
  /** A single row that identifies this database to its store and controls the sweeper. */
  installation: {
    id: string
    /** Increases whenever a server verifies that the store belongs to this database. */
    starts: number
    /** Blobs up to this id may be missing in the store, as accepted by an operator (ADOPT_STORE). */
    acceptedUpTo: string | null
    /** When and why deleting from the store was paused. */
    pausedAt: number | null
    pausedBecause: string | null
    /** When the last sweep found too many objects to quarantine without confirmation, and how many. */
    refusedAt: number | null
    refusedObjects: Generated<number>
  }
  /** The latest stamps written to the store. A store with another stamp was used with another database. */
  storeStamps: { stamp: string; number: number }
  /** Objects of the store that no row refers to. */
  quarantine: {
    key: string
    place: Place
    size: number
    foundAt: number
    /** How long it has been observed; a clock that jumps adds little. */
    ageMs: number
    observedAt: number
  }
}

/** The area of the store that an object is in. */
export type Place = 'staged' | 'kept'

/** A service account is a user for programs; it belongs to one workspace. */
export type UserKind = 'PERSON' | 'SERVICE'
export type EntryKind = 'folder' | 'file'
export type Visibility = 'PRIVATE' | 'PUBLIC'
export type WorkspaceRole = 'OWNER' | 'EDITOR' | 'VIEWER'
export type NameConflictMode = 'FAIL' | 'RENAME' | 'NEW_VERSION' | 'REPLACE'
export type FolderNameConflictMode = 'FAIL' | 'RENAME' | 'REUSE' | 'REPLACE'
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
