import type { Damage } from '../../blobs/verify.ts'

/** What was found wrong with the bytes of a version, and when (milliseconds since 1970). */
export type RecordedDamage = { code: Damage; at: number }

/** As the row of a blob has it. */
export const damageOf = (damage: string | null): RecordedDamage | null =>
  damage === null ? null : JSON.parse(damage)

/** In words, for people. */
export const flawWords: Record<Damage, string> = {
  MISSING: 'its bytes are not there',
  TRUNCATED: 'some of its bytes are not there',
  CHANGED: 'its bytes are not the ones that were confirmed',
}
