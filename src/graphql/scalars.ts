import { GraphQLError } from 'graphql'
import { parseDateTime } from '../date-time.ts'
import { isObject, validateJsonObject } from '../json-object.ts'
import { builder } from './builder.ts'

/**
 * Returns a parser of a scalar that throws `message` for an invalid value. Internally a DateTime is a number
 * of milliseconds since 1970; the other scalars are JSON values.
 */
function parser<T>(parse: (value: unknown) => T | null, message: string) {
  return (value: unknown): T => {
    const parsed = parse(value)
    if (parsed === null) throw new GraphQLError(message)
    return parsed
  }
}

builder.scalarType('DateTime', {
  description:
    'A date and time of RFC 3339, returned in UTC with milliseconds, such as 2025-01-31T09:30:00.000Z.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: (dateTime) => new Date(dateTime).toISOString(),
  parseValue: parser(
    (value) => (isShort(value, 64) ? parseDateTime(value) : null),
    'a DateTime is an existing date and time with Z or an offset, such as 2025-01-31T09:30:00.000Z',
  ),
})

builder.scalarType('URL', {
  description: 'An absolute URL of at most 8192 characters.',
  specifiedByURL: 'https://url.spec.whatwg.org/',
  serialize: (url) => url,
  parseValue: parser(parseUrl, 'a URL is absolute, such as https://example.org/a'),
})

const parseBytes = parser(
  parseByteCount,
  'a ByteCount is a whole number from 0 to 9007199254740991',
)
builder.scalarType('ByteCount', {
  description: 'A number of bytes from 0 to 2^53-1, as a JSON number; Int would end at 2 GiB.',
  serialize: parseBytes,
  parseValue: parseBytes,
})

builder.scalarType('SyncCursor', {
  description:
    "An opaque position in a workspace's change log, which clients compare only for equality.",
  serialize: (cursor) => cursor,
  parseValue: parser(parseSyncCursor, 'a SyncCursor is a string that this server returned'),
})

builder.scalarType('JSONObject', {
  description:
    'A JSON object of at most 64 KiB and 32 levels, without the keys __proto__, constructor and prototype.',
  serialize: (object) => object,
  parseValue: parseJsonObject,
})

/** Longer texts are rejected before a pattern runs over them. */
const isShort = (value: unknown, maxLength: number): value is string =>
  typeof value === 'string' && value.length <= maxLength

function parseUrl(value: unknown) {
  return isShort(value, 8192) && URL.canParse(value) ? value : null
}

function parseByteCount(value: unknown) {
  return Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : null
}

function parseSyncCursor(value: unknown) {
  return typeof value === 'string' && value !== '' && value.length <= 256 ? value : null
}

function parseJsonObject(value: unknown): Record<string, unknown> {
  if (!isObject(value)) throw new GraphQLError('a JSONObject is an object, such as {"plate": 7}')
  const message = validateJsonObject(value)
  if (message) throw new GraphQLError(message)
  return value
}
