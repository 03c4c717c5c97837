import { checkSize, type Damage, verify } from '../../blobs/verify.ts'
import { type Check, type CheckContext, type Finding, idsOf } from '../../fsck/check.ts'
import { type BlobRow, markDamaged, markVerified } from './damage.ts'
import { differingFiles, differingReferences, mendFile, mendReferences } from './repair-counts.ts'
import { flawWords } from './rules.ts'

/** A file has a current version, is what that says, and knows how much the others weigh. */
export const filesCheck: Check = {
  scan: ({ db }) => idsOf(db, 'entries'),
  async evaluate(c, ids) {
    const differing = await differingFiles(c.db, ids)
    return differing.map(({ id, workspaceId, versionId, counted, ...said }): Finding => {
      if (!counted) {
        const says = `its version, ${versionId}, is not there`
        const left = 'which one it should be nobody knows; restore one, or delete the file'
        return { code: 'FILE_VERSION', subject: id, says, left }
      }
      const says = `it says ${JSON.stringify(said)}, its versions ${JSON.stringify(counted)}`
      const repair = () => mendFile(c, { id, workspaceId })
      return { code: 'FILE_FIGURES', subject: id, says, repair }
    })
  },
}

/** A blob knows how many versions refer to it, goes with the last of them, and is of their size and hash. */
export const referencesCheck: Check = {
  scan: ({ db }) => idsOf(db, 'blobs'),
  async evaluate(c, ids) {
    const differing = await differingReferences(c.db, ids)
    return differing.map(({ id, workspaceId, refs, counted, others, unreferencedAt }): Finding => {
      if (others > 0) {
        const says = `${others} versions that refer to it are of another size or hash`
        return {
          code: 'BLOB_VERSIONS',
          subject: id,
          says,
          left: 'which of them is right is not known',
        }
      }
      const marked = unreferencedAt === null ? '' : ', and is marked to be removed'
      const says = `it counts ${refs} references${marked}; there are ${counted}`
      const repair = () => mendReferences(c, { id, workspaceId })
      return { code: 'BLOB_REFERENCES', subject: id, says, repair }
    })
  },
}

/** Bytes are there for each blob, as many as it says. What is known to be damaged is told no more. */
export const bytesCheck: Check = {
  async *scan(c) {
    const kept = await c.kept()
    for await (const ids of idsOf(c.db, 'blobs')) {
      const odd = (await soundBlobs(c, ids)).filter(({ id, size }) => kept.get(id) !== size)
      if (odd.length > 0) yield odd.map(({ id }) => id)
    }
  },
  async evaluate(c, ids) {
    const found: Finding[] = []
    for (const blob of await soundBlobs(c, ids)) {
      const flaw = await checkSize(c.blobs, blob.id, blob.size)
      if (flaw) found.push(flawed(c, blob, flaw))
      else if (await isLonger(c, blob)) found.push(longer(blob))
    }
    return found
  },
}

/** Bytes hash to what the blob says: read, all of them. What was damaged may be right again. */
export const hashesCheck: Check = {
  async *scan(c) {
    if (c.deep) yield* idsOf(c.db, 'blobs')
  },
  async evaluate(c, ids) {
    const found: Finding[] = []
    for (const blob of await referredBlobs(c, ids)) {
      const flaw = await verify(c.blobs, blob.id, blob)
      if (flaw && blob.damage === null) found.push(flawed(c, blob, flaw))
      if (!flaw && blob.damage !== null) found.push(recovered(c, blob))
    }
    return found
  },
}

const referredBlobs = ({ db }: CheckContext, ids: readonly string[]): Promise<BlobRow[]> =>
  db
    .selectFrom('blobs')
    .selectAll()
    .where('id', 'in', ids)
    .where('unreferencedAt', 'is', null)
    .execute()

const soundBlobs = async (c: CheckContext, ids: readonly string[]) =>
  (await referredBlobs(c, ids)).filter(({ damage }) => damage === null)

const flawed = (c: CheckContext, { id }: BlobRow, flaw: Damage): Finding => ({
  code: `BYTES_${flaw}`,
  subject: id,
  says: flawWords[flaw],
  repair: () => markDamaged(c, id, flaw),
})

const recovered = (c: CheckContext, blob: BlobRow): Finding => ({
  code: 'BYTES_RECOVERED',
  subject: blob.id,
  says: 'its bytes were damaged, and are right now',
  repair: () => markVerified(c, blob),
})

const longer = ({ id, size }: BlobRow): Finding => ({
  code: 'BYTES_LONGER',
  subject: id,
  says: `there are more than its ${size} bytes`,
  left: 'what is too much is never served',
})

async function isLonger({ blobs }: CheckContext, { id, size }: BlobRow): Promise<boolean> {
  let more = 0
  for await (const chunk of await blobs.open(id, { start: size, end: size })) more += chunk.length
  return more > 0
}
