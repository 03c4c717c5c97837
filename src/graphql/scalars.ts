import { GraphQLError } from 'graphql'
import { isObject, validateJsonObject } from '../json-object.ts'
import { builder } from './builder.ts'

/** Inside, a moment is milliseconds since 1970; the rest is what JSON has. Wrong input is told what would be right. */
function accept<T>(read: (value: unknown) => T | null, right: string) {
  return (value: unknown): T => {
    const accepted = read(value)
    if (accepted === null) throw new GraphQLError(right)
    return accepted
  }
}

builder.scalarType('DateTime', {
  description: 'A moment, given out in UTC with milliseconds: 2025-01-31T09:30:00.000Z.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (moment) => new Date(moment).toISOString(),
  parseValue: accept(
    (value) => (isShort(value, 64) ? moment(value) : null),
    'a DateTime is a day and time that exist, with Z or an offset, as 2025-01-31T09:30:00.000Z',
  ),
})

builder.scalarType('URL', {
  specifiedByURL: 'https://url.spec.whatwg.org/',
  serialize: (url) => url,
  parseValue: accept(url, 'a URL is absolute, as https://example.org/a'),
})

const acceptBytes = accept(byteCount, 'a ByteCount is a whole number from 0 to 9007199254740991')
builder.scalarType('ByteCount', {
  description: '0 to 2^53-1, a JSON number: Int stops at 2 GiB.',
  serialize: acceptBytes,
  parseValue: acceptBytes,
})

builder.scalarType('SyncCursor', {
  description: "Position in a workspace's change log. Compare only for equality.",
  serialize: (cursor) => cursor,
  parseValue: accept(syncCursor, 'a SyncCursor is a string that this server gave out'),
})

builder.scalarType('JSONObject', {
  description:
    'At most 64 KiB as JSON and 32 deep, without the keys __proto__, constructor and prototype.',
  serialize: (object) => object,
  parseValue: jsonObject,
})

const rfc3339 = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/i
const years = {
  from: Date.parse('0000-01-01T00:00:00Z'),
  to: Date.parse('9999-12-31T23:59:59.999Z'),
}

/** RFC 3339, 5.6, but for leap seconds, which a count of milliseconds has no room for. Finer digits are cut off. */
function moment(value: unknown): number | null {
  const parts = typeof value === 'string' ? rfc3339.exec(value) : null
  if (!parts) return null
  const [, day, time, fraction = '.', sign, hours = 0, minutes = 0] = parts
  const local = Date.parse(`${day}T${time}${fraction.padEnd(4, '0').slice(0, 4)}Z`)
  if (!exists(local, `${day}T${time}`)) return null
  const offset = (Number(hours) * 60 + Number(minutes)) * 60_000
  const utc = sign === '-' ? local + offset : local - offset
  return utc >= years.from && utc <= years.to ? utc : null
}

/** Date takes 30 February for 2 March. */
const exists = (moment: number, written: string) =>
  !Number.isNaN(moment) && new Date(moment).toISOString().startsWith(written)

/** A text that is longer is refused before anything reads it. */
const isShort = (value: unknown, most: number) => typeof value === 'string' && value.length <= most

function url(value: unknown) {
  return typeof value === 'string' && isShort(value, 8192) && URL.canParse(value) ? value : null
}

function byteCount(value: unknown) {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : null
}

function syncCursor(value: unknown) {
  return typeof value === 'string' && value !== '' && value.length <= 256 ? value : null
}

function jsonObject(value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw new GraphQLError('a JSONObject is an object, as {"plate": 7}')
  const fault = validateJsonObject(value)
  if (fault) throw new GraphQLError(fault)
  return value
}
