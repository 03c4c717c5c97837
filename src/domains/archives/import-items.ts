import { isObject, validateJsonObject } from '../../json-object.ts'
import { checkDescription, checkEntryPath, checkMetadata, mergeMetadata } from '../entries/rules.ts'
import { checkMarks, checkTagNames } from '../tags/rules.ts'
import { MANIFEST_HEAD, type ManifestEntry, type ManifestVersion } from './manifest.ts'
import { MANIFEST } from './members.ts'
import type { Zip } from './zip-reader.ts'
import { invalidArchive, type ZipMember } from './zip-records.ts'

/** One entry that an archive brings: what it is said to be, and where its bytes are. */
export type ImportItem = {
  path: string
  kind: 'folder' | 'file'
  description: string | null
  tags: string[]
  metadata: Record<string, unknown>
  versions: (Pick<ManifestVersion, 'number' | 'comment'> & {
    member: ZipMember
    /** Null where nobody said. */
    sha256: string | null
  })[]
}

const LONGEST_LINE = 16 * 1024 * 1024

/** With a manifest what it tells, which must be all that there is and nothing else; without one the plain tree. */
export async function* importItems(zip: Zip): AsyncGenerator<ImportItem> {
  const manifest = await zip.find(MANIFEST)
  const head = manifest && (await firstLine(zip, manifest))
  if (manifest && head === MANIFEST_HEAD.trim()) yield* toldItems(zip, manifest)
  else yield* plainItems(zip)
}

async function* plainItems(zip: Zip): AsyncGenerator<ImportItem> {
  for await (const member of zip.members()) {
    const path = member.name.replace(/\/$/, '')
    checkNewPath(path)
    const nothing = { description: null, tags: [], metadata: {} }
    const version = { number: 1, comment: null, member, sha256: null }
    if (member.name.endsWith('/')) yield { path, kind: 'folder', ...nothing, versions: [] }
    else yield { path, kind: 'file', ...nothing, versions: [version] }
  }
}

/** Every member is one version or one folder, once: so no more comes out than the members hold. */
async function* toldItems(zip: Zip, manifest: ZipMember): AsyncGenerator<ImportItem> {
  const used = new Set<number>()
  let told = 1
  for await (const line of linesOf(zip.open(manifest))) {
    if (line === '' || line === ']}' || line === MANIFEST_HEAD.trim()) continue
    const entry = readEntry(line)
    const versions = []
    for (const version of entry.versions ?? []) versions.push(await withMember(zip, version, used))
    told += entry.kind === 'folder' ? 1 : versions.length
    if (told > zip.count) throw invalidArchive(`${MANIFEST} tells of more than the archive has`)
    yield { ...entry, versions }
  }
  if (told < zip.count)
    throw invalidArchive(
      `the archive has ${zip.count - told} members that ${MANIFEST} does not tell of`,
    )
}

async function withMember(
  zip: Zip,
  { number, comment, sha256, size, member: name }: ManifestVersion,
  used: Set<number>,
) {
  const member = await zip.find(name)
  if (!member || name === MANIFEST)
    throw invalidArchive(`${JSON.stringify(name)} is not in the archive`)
  if (used.has(member.offset))
    throw invalidArchive(`${JSON.stringify(name)} is the member of two versions`)
  used.add(member.offset)
  if (member.size !== size)
    throw invalidArchive(`${JSON.stringify(name)} has ${member.size} bytes, not ${size}`)
  return { number, comment, sha256, member }
}

/** One line of the manifest, every field of it looked at. */
function readEntry(line: string): ManifestEntry {
  const entry = parse(line.replace(/,$/, ''))
  const { path, kind, description = null, tags = [], metadata = {}, versions = [] } = entry
  const sound =
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
  if (!sound) throw invalidArchive(`${MANIFEST}: ${line.slice(0, 200)} is not an entry`)
  const fault = validateJsonObject(metadata)
  if (fault) throw invalidArchive(`${MANIFEST}: the metadata of ${JSON.stringify(path)}: ${fault}`)
  checkNewPath(path)
  checkTagNames(tags, ['uploadId'])
  checkMetadata(mergeMetadata({}, metadata), ['uploadId'])
  if (description !== null) checkDescription(description, ['uploadId'])
  refuseLies(entry as ManifestEntry, versions)
  return { path, kind, description, tags, metadata, versions }
}

function checkNewPath(path: string) {
  for (const { name } of checkEntryPath(path, ['uploadId'])) checkMarks(name, ['uploadId'])
}

/** The current version is the last one, and numbers grow. */
function refuseLies({ path, size, sha256 }: ManifestEntry, versions: ManifestVersion[]) {
  const current = versions.at(-1)
  const grows = versions.every(({ number }, i) => number > (versions[i - 1]?.number ?? 0))
  const same =
    (size ?? current?.size) === current?.size && (sha256 ?? current?.sha256) === current?.sha256
  if (!grows || (current && !same))
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
    // Said below: the line is what is wrong, not where in it.
  }
  throw invalidArchive(`${MANIFEST}: ${text.slice(0, 200)} is not an entry`)
}

async function firstLine(zip: Zip, member: ZipMember): Promise<string> {
  for await (const line of linesOf(zip.open(member))) return line
  return ''
}

async function* linesOf(chunks: AsyncGenerator<Buffer>): AsyncGenerator<string> {
  let waiting: Buffer[] = []
  let length = 0
  for await (const chunk of chunks) {
    let from = 0
    for (let to = chunk.indexOf(10); to !== -1; to = chunk.indexOf(10, from)) {
      yield Buffer.concat([...waiting, chunk.subarray(from, to)]).toString('utf8')
      ;[waiting, length, from] = [[], 0, to + 1]
    }
    waiting.push(chunk.subarray(from))
    length += chunk.length - from
    if (length > LONGEST_LINE) throw invalidArchive(`a line of ${MANIFEST} is too long`)
  }
  if (length > 0) yield Buffer.concat(waiting).toString('utf8')
}
