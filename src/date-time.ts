const rfc3339 = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/i
const years = {
  from: Date.parse('0000-01-01T00:00:00Z'),
  to: Date.parse('9999-12-31T23:59:59.999Z'),
}

/**
 * Parses a date-time of RFC 3339 §5.6, except leap seconds, which milliseconds since 1970 cannot represent.
 * Returns milliseconds since 1970, or null for any other text. Fractions finer than a millisecond are
 * truncated.
 */
export function parseDateTime(text: string): number | null {
  const parts = rfc3339.exec(text)
  if (!parts) return null
  const [, day, time, fraction = '.', sign, hours = 0, minutes = 0] = parts
  const local = Date.parse(`${day}T${time}${fraction.padEnd(4, '0').slice(0, 4)}Z`)
  if (!isExistingDate(local, `${day}T${time}`)) return null
  const offset = (Number(hours) * 60 + Number(minutes)) * 60_000
  const utc = sign === '-' ? local + offset : local - offset
  return isInFourDigitYear(utc) ? utc : null
}

/** Date.parse reads 30 February as 2 March, so the result is compared with the input. */
const isExistingDate = (time: number, text: string) =>
  !Number.isNaN(time) && new Date(time).toISOString().startsWith(text)

/** Returns whether RFC 3339 can express a time in milliseconds since 1970: its year has four digits. */
export const isInFourDigitYear = (time: number): boolean => time >= years.from && time <= years.to
