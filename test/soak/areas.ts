import { durability } from './durability.ts'
import { faultPoints } from './fault-points.ts'
import { fuzz } from './fuzz.ts'
import { history } from './history.ts'
import { model } from './model.ts'
import { pressure } from './pressure.ts'

/** What was done, and how often. */
export type Figures = Record<string, number>
/**
 * Runs until `until` (milliseconds since 1970) and throws at the first finding. The same `seed` repeats the
 * same run.
 */
export type Area = (bounds: { seed: number; until: number }) => Promise<Figures>

export const areas = {
  pressure,
  fuzz,
  model,
  history,
  'fault points': faultPoints,
  'power loss': durability,
} satisfies Record<string, Area>
export type AreaName = keyof typeof areas
