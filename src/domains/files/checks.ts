import { checkSize, type Damage, verify } from '../../blobs/verify.ts'
import { type Check, type CheckContext, type Finding, idsOf } from '../../fsck/check.ts'
import { type BlobRow, markDamaged, markVerified } from './damage.ts'
import {
  differingFiles,
  differingReferences,
  repairFile,
  repairReferences,
} from './repair-counts.ts'
import { damageMessages } from './rules.ts'

/** Checks that every file has a current version, and that its columns agree with its versions. */
export const filesCheck: Check = {
  scan: ({ db }) => idsOf(db, 'entries'),
  async evaluate(c, ids) {
    const differing = await differingFiles(c.db, ids)
    return differing.map(({ id, workspaceId, versionId, counted, ...stored }): Finding => {
      if (!counted) {
        const says = `its current version ${versionId} does not exist`
        const left = 'its correct version is unknown; restore a version or delete the file'
        return { code: 'FILE_VERSION', subject: id, says, left }
      }
      const says = `its row has ${JSON.stringify(stored)}, but its versions have ${JSON.stringify(counted)}`
      const repair = () => repairFile(c, { id, workspaceId })
      return { code: 'FILE_FIGURES', subject: id, says, repair }
    })
  },
}

/** Checks the reference count, the deletion mark, the size and the hash of blobs against their versions. */
export const referencesCheck: Check = {
  scan: ({ db }) => idsOf(db, 'blobs'),
  async evaluate(c, ids) {
    const differing = await differingReferences(c.db, ids)
    return differing.map(({ id, workspaceId, refs, counted, others, unreferencedAt }): Finding => {
      if (others > 0) {
        const says = `${others} versions that refer to it have a different size or hash`
        return {
          code: 'BLOB_VERSIONS',
          subject: id,
          says,
          left: 'it is unknown which of them is correct',
        }
      }
      const marked = unreferencedAt === null ? '' : ' and is marked for deletion'
      const says = `it has a reference count of ${refs}${marked}, but ${counted} references exist`
      const repair = () => repairReferences(c, { id, workspaceId })
      return { code: 'BLOB_REFERENCES', subject: id, says, repair }
    })
  },
}

/**
 * Checks that the bytes of each blob exist and have its size. Blobs already marked as damaged are not
 * reported again.
 */
export const bytesCheck: Check = {
  async *scan(c) {
    const kept = await c.kept()
    for await (const ids of idsOf(c.db, 'blobs')) {
      const suspects = (await undamagedBlobs(c, ids)).filter(
        ({ id, size }) => kept.get(id) !== size,
      )
      if (suspects.length > 0) yield suspects.map(({ id }) => id)
    }
  },
  async evaluate(c, ids) {
    const found: Finding[] = []
    for (const blob of await undamagedBlobs(c, ids)) {
      const damage = await checkSize(c.blobs, blob.id, blob.size)
      if (damage) found.push(damagedFinding(c, blob, damage))
      else if (await isLonger(c, blob)) found.push(longerFinding(blob))
    }
    return found
  },
}

/**
 * Reads all bytes and checks their hashes. Also finds blobs that are marked as damaged but are intact again.
 */
export const hashesCheck: Check = {
  async *scan(c) {
    if (c.deep) yield* idsOf(c.db, 'blobs')
  },
  async evaluate(c, ids) {
    const found: Finding[] = []
    for (const blob of await referencedBlobs(c, ids)) {
      const damage = await verify(c.blobs, blob.id, blob)
      if (damage && blob.damage === null) found.push(damagedFinding(c, blob, damage))
      if (!damage && blob.damage !== null) found.push(recoveredFinding(c, blob))
    }
    return found
  },
}

const referencedBlobs = ({ db }: CheckContext, ids: readonly string[]): Promise<BlobRow[]> =>
  db
    .selectFrom('blobs')
    .selectAll()
    .where('id', 'in', ids)
    .where('unreferencedAt', 'is', null)
    .execute()

const undamagedBlobs = async (c: CheckContext, ids: readonly string[]) =>
  (await referencedBlobs(c, ids)).filter(({ damage }) => damage === null)

const damagedFinding = (c: CheckContext, { id }: BlobRow, damage: Damage): Finding => ({
  code: `BYTES_${damage}`,
  subject: id,
  says: damageMessages[damage],
  repair: () => markDamaged(c, id, damage),
})

const recoveredFinding = (c: CheckContext, blob: BlobRow): Finding => ({
  code: 'BYTES_RECOVERED',
  subject: blob.id,
  says: 'its bytes were marked as damaged and are intact',
  repair: () => markVerified(c, blob),
})

const longerFinding = ({ id, size }: BlobRow): Finding => ({
  code: 'BYTES_LONGER',
  subject: id,
  says: `more than its ${size} bytes are stored`,
  left: 'the excess bytes are never served',
})

async function isLonger({ blobs }: CheckContext, { id, size }: BlobRow): Promise<boolean> {
  let more = 0
  for await (const chunk of await blobs.open(id, { start: size, end: size })) more += chunk.length
  return more > 0
}
