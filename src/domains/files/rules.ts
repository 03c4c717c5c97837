import type { Damage } from '../../blobs/verify.ts'

/** Damage found in the bytes of a version. `at` is the time of detection in milliseconds since 1970. */
export type RecordedDamage = { code: Damage; at: number }

/** Parses the damage column of a blob. */
export const damageOf = (damage: string | null): RecordedDamage | null =>
  damage === null ? null : JSON.parse(damage)

/** Human-readable message per kind of damage. */
export const damageMessages: Record<Damage, string> = {
  MISSING: 'its bytes are missing',
  TRUNCATED: 'some of its bytes are missing',
  CHANGED: 'its bytes differ from the confirmed ones',
}
