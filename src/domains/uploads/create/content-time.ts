import { isInFourDigitYear, parseDateTime } from '../../../date-time.ts'

/** Longer texts are no time, and are ignored unread. */
const MAX_LENGTH = 64
const MILLISECONDS = /^[+-]?\d+(?:\.\d*)?$/
const DAY = /^\d{4}-\d\d-\d\d$/

/**
 * Returns the modification time of a file as a client states it, in milliseconds since 1970: the first hint
 * that is a number of milliseconds since 1970 or a date of ISO 8601, or null if there is none. A date-time
 * needs Z or an offset, and a date is taken as UTC. All other hints are ignored, as are years before 0 and
 * after 9999.
 */
export function contentTimeOf(hints: readonly unknown[]): number | null {
  for (const hint of hints) {
    const time = parseHint(hint)
    if (time !== null && isInFourDigitYear(time)) return time
  }
  return null
}

function parseHint(hint: unknown): number | null {
  if (typeof hint === 'number') return Math.floor(hint)
  if (typeof hint !== 'string' || hint.length > MAX_LENGTH) return null
  const text = hint.trim()
  if (MILLISECONDS.test(text)) return Math.floor(Number(text))
  return parseDateTime(DAY.test(text) ? `${text}T00:00:00Z` : text)
}
