import { parseDateTime } from '../../../date-time.ts'
import { isObject, validateJsonObject } from '../../../json-object.ts'
import {
  checkDescription,
  checkEntryPath,
  checkMetadata,
  mergeMetadata,
} from '../../entries/rules.ts'
import { checkMarks, checkTagNames } from '../../tags/rules.ts'
import { MANIFEST_HEAD, type ManifestEntry, type ManifestVersion } from '../manifest.ts'
import { MANIFEST } from '../zip/members.ts'
import type { Zip } from '../zip/zip-reader.ts'
import { invalidArchive, type ZipMember } from '../zip/zip-records.ts'

/** One entry of an archive: its properties and the members that hold its bytes. */
export type ImportItem = {
  path: string
  kind: 'folder' | 'file'
  description: string | null
  tags: string[]
  metadata: Record<string, unknown>
  versions: (Pick<ManifestVersion, 'number' | 'comment'> & {
    member: ZipMember
    contentModifiedAt: number | null
    /** Null if the archive has no manifest. */
    sha256: string | null
  })[]
}

const MAX_LINE_BYTES = 16 * 1024 * 1024

/**
 * Yields the entries of an archive. If it has a manifest of this server, yields the entries of the manifest,
 * which must list every member and nothing else; otherwise yields the tree of the members. Throws
 * InvalidInput.
 */
export async function* importItems(zip: Zip): AsyncGenerator<ImportItem> {
  const manifest = await zip.find(MANIFEST)
  const head = manifest && (await firstLine(zip, manifest))
  if (manifest && head === MANIFEST_HEAD.trim()) yield* manifestItems(zip, manifest)
  else yield* plainItems(zip)
}

async function* plainItems(zip: Zip): AsyncGenerator<ImportItem> {
  for await (const member of zip.members()) {
    const path = member.name.replace(/\/$/, '')
    checkNewPath(path)
    const noProperties = { description: null, tags: [], metadata: {} }
    const version = { number: 1, comment: null, member, sha256: null, contentModifiedAt: null }
    if (member.name.endsWith('/')) yield { path, kind: 'folder', ...noProperties, versions: [] }
    else yield { path, kind: 'file', ...noProperties, versions: [version] }
  }
}

/**
 * Yields the entries of the manifest. Every member must be exactly one version or one folder, so that an
 * import is never larger than the members.
 */
async function* manifestItems(zip: Zip, manifest: ZipMember): AsyncGenerator<ImportItem> {
  const used = new Set<number>()
  let listed = 1
  for await (const line of linesOf(zip.open(manifest))) {
    if (line === '' || line === ']}' || line === MANIFEST_HEAD.trim()) continue
    const entry = readEntry(line)
    const versions = []
    for (const version of entry.versions ?? []) versions.push(await withMember(zip, version, used))
    listed += entry.kind === 'folder' ? 1 : versions.length
    if (listed > zip.count)
      throw invalidArchive(`${MANIFEST} lists more than the ${zip.count} members of the archive`)
    yield { ...entry, versions }
  }
  if (listed < zip.count)
    throw invalidArchive(
      `the archive has ${zip.count - listed} members that ${MANIFEST} does not list`,
    )
}

async function withMember(
  zip: Zip,
  { number, comment, sha256, size, member: name, contentModifiedAt }: ManifestVersion,
  used: Set<number>,
) {
  const member = await zip.find(name)
  if (!member || name === MANIFEST)
    throw invalidArchive(`${JSON.stringify(name)} is not in the archive`)
  if (used.has(member.offset))
    throw invalidArchive(`${JSON.stringify(name)} is listed for two versions`)
  used.add(member.offset)
  if (member.size !== size)
    throw invalidArchive(`${JSON.stringify(name)} has ${member.size} bytes, not ${size}`)
  return { number, comment, sha256, member, contentModifiedAt: timeIn(contentModifiedAt) }
}

/** Returns the time in milliseconds since 1970; a value that is no time is ignored. */
const timeIn = (value: unknown) =>
  typeof value === 'string' && value.length <= 64 ? parseDateTime(value) : null

/** Parses one line of the manifest and validates all fields. */
function readEntry(line: string): ManifestEntry {
  const entry = parse(line.replace(/,$/, ''))
  const { path, kind, description = null, tags = [], metadata = {}, versions = [] } = entry
  const isValid =
    typeof path === 'string' &&
    path !== '' &&
    (kind === 'folder' || kind === 'file') &&
    (description === null || typeof description === 'string') &&
    Array.isArray(tags) &&
    tags.every((tag) => typeof tag === 'string') &&
    isObject(metadata) &&
    Array.isArray(versions) &&
    versions.every(isVersion) &&
    (kind === 'file') === versions.length > 0
  if (!isValid) throw invalidArchive(`${MANIFEST}: ${line.slice(0, 200)} is not an entry`)
  const metadataError = validateJsonObject(metadata)
  if (metadataError)
    throw invalidArchive(`${MANIFEST}: the metadata of ${JSON.stringify(path)}: ${metadataError}`)
  checkNewPath(path)
  checkTagNames(tags, ['uploadId'])
  checkMetadata(mergeMetadata({}, metadata), ['uploadId'])
  if (description !== null) checkDescription(description, ['uploadId'])
  assertConsistent(entry as ManifestEntry, versions)
  return { path, kind, description, tags, metadata, versions }
}

function checkNewPath(path: string) {
  for (const { name } of checkEntryPath(path, ['uploadId'])) checkMarks(name, ['uploadId'])
}

/** The current version must be the last one, and version numbers must increase. */
function assertConsistent({ path, size, sha256 }: ManifestEntry, versions: ManifestVersion[]) {
  const current = versions.at(-1)
  const isIncreasing = versions.every(({ number }, i) => number > (versions[i - 1]?.number ?? 0))
  const matchesCurrent =
    (size ?? current?.size) === current?.size && (sha256 ?? current?.sha256) === current?.sha256
  if (!isIncreasing || (current && !matchesCurrent))
    throw invalidArchive(`${MANIFEST} contradicts itself about ${JSON.stringify(path)}`)
}

function isVersion(value: unknown): value is ManifestVersion {
  if (!isObject(value)) return false
  const { number, size, sha256, comment, member } = value
  return (
    Number.isInteger(number) &&
    Number(number) >= 1 &&
    Number(number) < 2 ** 31 &&
    Number.isSafeInteger(size) &&
    typeof sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(sha256) &&
    (comment === null || (typeof comment === 'string' && comment.length <= 10_000)) &&
    typeof member === 'string'
  )
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch {
    // The error below names the line.
  }
  throw invalidArchive(`${MANIFEST}: ${text.slice(0, 200)} is not an entry`)
}

async function firstLine(zip: Zip, member: ZipMember): Promise<string> {
  for await (const line of linesOf(zip.open(member))) return line
  return ''
}

async function* linesOf(chunks: AsyncGenerator<Buffer>): AsyncGenerator<string> {
  let pending: Buffer[] = []
  let length = 0
  for await (const chunk of chunks) {
    let from = 0
    for (let to = chunk.indexOf(10); to !== -1; to = chunk.indexOf(10, from)) {
      yield Buffer.concat([...pending, chunk.subarray(from, to)]).toString('utf8')
      ;[pending, length, from] = [[], 0, to + 1]
    }
    pending.push(chunk.subarray(from))
    length += chunk.length - from
    if (length > MAX_LINE_BYTES)
      throw invalidArchive(`a line of ${MANIFEST} has more than ${MAX_LINE_BYTES} bytes`)
  }
  if (length > 0) yield Buffer.concat(pending).toString('utf8')
}
