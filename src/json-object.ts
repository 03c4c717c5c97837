/** Keys that allow prototype pollution when they are assigned. */
const FORBIDDEN_KEYS = ['__proto__', 'constructor', 'prototype']
const MAX_DEPTH = 32
const MAX_BYTES = 65_536
const TOO_LARGE = `a JSONObject must have at most ${MAX_BYTES} bytes as JSON`

/**
 * Returns what is wrong with a JSON object, or null if it is valid: JSON values only, at most 32 levels and
 * 64 KiB, no key that allows prototype pollution.
 */
export function validateJsonObject(value: Record<string, unknown>): string | null {
  const error = findError(value, 1)
  if (error) return error
  return Buffer.byteLength(JSON.stringify(value)) <= MAX_BYTES ? null : TOO_LARGE
}

/** Whether `value` is an object, and neither null nor an array. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Validates a value at nesting level `depth`. */
function findError(value: unknown, depth: number): string | null {
  if (typeof value !== 'object' || value === null)
    return isScalar(value) ? null : 'a JSONObject must contain JSON values only'
  if (depth > MAX_DEPTH) return `a JSONObject must be at most ${MAX_DEPTH} levels deep`
  const keys = Array.isArray(value) ? [] : Object.keys(value)
  // A key and its value take at least four bytes, an array element two: too many of them are rejected without
  // reading the values.
  const minBytes = Array.isArray(value) ? 2 * value.length : 4 * keys.length
  if (minBytes > MAX_BYTES) return TOO_LARGE
  const key = keys.find((key) => FORBIDDEN_KEYS.includes(key))
  if (key) return `a JSONObject must not have the key ${key}`
  for (const child of Object.values(value)) {
    const error = findError(child, depth + 1)
    if (error) return error
  }
  return null
}

/**
 * Whether a value is a JSON scalar. Infinity is not: 1e999 is parsed as Infinity, which JSON.stringify writes
 * as null.
 */
const isScalar = (value: unknown) =>
  value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)
