import { randomBytes } from 'node:crypto'
import type { Log } from '../log.ts'
import type { SigningKeys } from '../signing/signing-keys.ts'
import type { Db } from './database.ts'
import type { Row } from './tables.ts'

/** Interval at which a server reloads the keys. */
const REFRESH_MS = 30_000
/** After this time every server knows a new key, even if its clock is a minute ahead. */
const ACTIVE_AFTER_MS = 120_000

/**
 * Returns all signing keys of the installation, unordered. There are few; a migration created the first one.
 */
export const readSigningKeys = (db: Db): Promise<Row<'signingKeys'>[]> =>
  db.selectFrom('signingKeys').selectAll().execute()

/**
 * Adds a key that signs from two minutes after `now` (milliseconds since 1970); older signatures stay valid.
 */
export async function addSigningKey(db: Db, now: number): Promise<Row<'signingKeys'>> {
  const key = {
    id: `k${randomBytes(4).toString('hex')}`,
    secret: randomBytes(32).toString('hex'),
    createdAt: now,
    activeFrom: now + ACTIVE_AFTER_MS,
  }
  await db.insertInto('signingKeys').values(key).execute()
  return key
}

/**
 * Deletes a key that a newer active key has replaced by `now`, which makes its signatures invalid. Returns
 * false if there is no such key.
 */
export async function deleteSigningKey(db: Db, id: string, now: number): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('signingKeys')
    .where('id', '=', id)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('signingKeys as later')
          .select('later.id')
          .whereRef('later.activeFrom', '>', 'signingKeys.activeFrom')
          .where('later.activeFrom', '<=', now),
      ),
    )
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** Reloads the keys every 30 s until it is disposed: another process may have added or deleted one. */
export function refreshSigningKeys(
  { db, log }: { db: Db; log: Log },
  keys: SigningKeys,
): Disposable {
  const refresh = () =>
    readSigningKeys(db)
      .then(keys.replace)
      .catch((err) => log.warn({ err }, 'the signing keys could not be read'))
  const timer = setInterval(refresh, REFRESH_MS).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
