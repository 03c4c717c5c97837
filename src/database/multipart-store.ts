import type { Db } from './database.ts'
import { batchesBy } from './query/batches.ts'
import type { Row } from './tables.ts'
import { type Tx, transact } from './transaction.ts'

type Upload = Omit<Row<'multiparts'>, 'modifiedAt'>
type Part = Omit<Row<'multipartParts'>, 'key'>
type IncompletePart = Omit<Row<'multipartTails'>, 'key'>
type Progress = Partial<Pick<Upload, 'length' | 'inParts' | 'multipartId' | 'whole'>>
type Change = Progress & {
  parts?: Part[]
  incompleteParts?: IncompletePart[]
  removedIncompleteParts?: string[]
  partsUpTo?: number
}

const BATCH_SIZE = 1000

/**
 * Creates the store of multipart upload state: the parts and incomplete parts of each staged object in the
 * bucket. `now` is in milliseconds since 1970.
 */
export function createMultipartStore(db: Db, now: () => number = Date.now) {
  const withIncompleteParts = async (row: Row<'multiparts'> | undefined) => {
    if (!row) return null
    const { turn, ...upload } = row
    return { ...upload, fencingToken: turn, incompleteParts: await incompletePartsOf(db, row.key) }
  }

  return {
    async stage(key: string, { size, partSize }: Pick<Upload, 'size' | 'partSize'>) {
      const none = { turn: 0, length: 0, inParts: 0, multipartId: null, whole: null }
      await db
        .insertInto('multiparts')
        .values({ key, size, partSize, ...none, modifiedAt: now() })
        .onConflict((oc) => oc.column('key').doNothing())
        .execute()
      if (size !== null) await setSize(db, { key, size, partSize })
    },
    load: async (key: string) =>
      withIncompleteParts(
        await db.selectFrom('multiparts').selectAll().where('key', '=', key).executeTakeFirst(),
      ),
    acquireFencingToken: async (key: string) =>
      withIncompleteParts(
        await db
          .updateTable('multiparts')
          .set((eb) => ({ turn: eb('turn', '+', 1), modifiedAt: now() }))
          .where('key', '=', key)
          .returningAll()
          .executeTakeFirst(),
      ),
    write: (key: string, turn: number, change: Change) =>
      transact(db, (tx) => writeChange(tx, { key, turn, modifiedAt: now() }, change)),
    async nameMultipart(key: string, multipartId: string) {
      await db
        .updateTable('multiparts')
        .set({ multipartId, modifiedAt: now() })
        .where('key', '=', key)
        .where('multipartId', 'is', null)
        .execute()
      const named = db.selectFrom('multiparts').select('multipartId').where('key', '=', key)
      return (await named.executeTakeFirst())?.multipartId ?? null
    },
    parts: (key: string) =>
      db
        .selectFrom('multipartParts')
        .select(['number', 'etag', 'size'])
        .where('key', '=', key)
        .orderBy('number')
        .execute(),
    delete: (key: string) => transact(db, (tx) => deleteState(tx, key)),
    list: () => listAll(db),
    async known(keys: string[]) {
      if (keys.length === 0) return new Set<string>()
      const rows = db.selectFrom('multiparts').select('key').where('key', 'in', keys)
      return new Set((await rows.execute()).map(({ key }) => key))
    },
  }
}

const incompletePartsOf = (db: Db, key: string) =>
  db
    .selectFrom('multipartTails')
    .select(['name', 'start', 'size'])
    .where('key', '=', key)
    .orderBy('start')
    .execute()

/**
 * Sets the size and the part size if the size is unknown; both are fixed once the first part or byte exists.
 */
const setSize = (db: Db, { key, ...sizes }: Pick<Upload, 'key' | 'size' | 'partSize'>) =>
  db
    .updateTable('multiparts')
    .set(sizes)
    .where('key', '=', key)
    .where('size', 'is', null)
    .where('multipartId', 'is', null)
    .where('length', '=', 0)
    .execute()

type Turn = Pick<Row<'multiparts'>, 'key' | 'turn' | 'modifiedAt'>

async function writeChange(
  tx: Tx,
  { key, turn, modifiedAt }: Turn,
  change: Change,
): Promise<boolean> {
  const {
    parts = [],
    incompleteParts = [],
    removedIncompleteParts = [],
    partsUpTo,
    ...progress
  } = change
  // Runs first, even if no progress changes: it locks the row and fences off writers with an older token.
  const { numUpdatedRows } = await tx
    .updateTable('multiparts')
    .set({ ...progress, modifiedAt })
    .where('key', '=', key)
    .where('turn', '=', turn)
    .executeTakeFirst()
  if (numUpdatedRows === 0n) return false
  if (partsUpTo !== undefined) await dropParts(tx, key, partsUpTo)
  for (const part of parts) await writePart(tx, { key, ...part })
  for (const part of incompleteParts) await writeIncompletePart(tx, { key, ...part })
  for (const name of removedIncompleteParts) await deleteIncompletePart(tx, key, name)
  return true
}

const dropParts = (tx: Tx, key: string, upTo: number) =>
  tx.deleteFrom('multipartParts').where('key', '=', key).where('number', '>', upTo).execute()

const writePart = (tx: Tx, part: Row<'multipartParts'>) =>
  tx
    .insertInto('multipartParts')
    .values(part)
    .onConflict((oc) => oc.columns(['key', 'number']).doUpdateSet(part))
    .execute()

const writeIncompletePart = (tx: Tx, tail: Row<'multipartTails'>) =>
  tx
    .insertInto('multipartTails')
    .values(tail)
    .onConflict((oc) => oc.columns(['key', 'name']).doUpdateSet(tail))
    .execute()

const deleteIncompletePart = (tx: Tx, key: string, name: string) =>
  tx.deleteFrom('multipartTails').where('key', '=', key).where('name', '=', name).execute()

async function deleteState(tx: Tx, key: string) {
  await tx.deleteFrom('multiparts').where('key', '=', key).execute()
  await tx.deleteFrom('multipartParts').where('key', '=', key).execute()
  await tx.deleteFrom('multipartTails').where('key', '=', key).execute()
}

async function* listAll(db: Db) {
  const all = db
    .selectFrom('multiparts')
    .select(['key', 'length as size', 'modifiedAt'])
    .orderBy('key')
    .limit(BATCH_SIZE)
  const read = (after: string) => all.where('key', '>', after).execute()
  for await (const rows of batchesBy('key', BATCH_SIZE, read)) yield* rows
}
