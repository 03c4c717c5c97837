/** Keys that lead into the prototype of an object where somebody assigns them. */
const poison = ['__proto__', 'constructor', 'prototype']
const DEEPEST = 32
const LARGEST_BYTES = 65_536
const tooLarge = `a JSONObject has at most ${LARGEST_BYTES} bytes as JSON`

/** What is wrong with a JSON object that somebody sent; null when nothing is: of JSON values, 32 deep, 64 KiB, no key that poisons. */
export function validateJsonObject(value: Record<string, unknown>): string | null {
  const fault = faultOf(value, 1)
  if (fault) return fault
  return Buffer.byteLength(JSON.stringify(value)) <= LARGEST_BYTES ? null : tooLarge
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** `depth` levels down. */
function faultOf(value: unknown, depth: number): string | null {
  if (typeof value !== 'object' || value === null)
    return isScalar(value) ? null : 'a JSONObject holds JSON values only'
  if (depth > DEEPEST) return `a JSONObject is at most ${DEEPEST} levels deep`
  const keys = Array.isArray(value) ? [] : Object.keys(value)
  // A key and its value take four bytes, a value alone two: so many are not even looked at.
  const leastBytes = Array.isArray(value) ? 2 * value.length : 4 * keys.length
  if (leastBytes > LARGEST_BYTES) return tooLarge
  const key = keys.find((key) => poison.includes(key))
  if (key) return `a JSONObject has no key ${key}`
  for (const child of Object.values(value)) {
    const fault = faultOf(child, depth + 1)
    if (fault) return fault
  }
  return null
}

/** 1e999 parses as Infinity, and Infinity is written as null. */
const isScalar = (value: unknown) =>
  value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)
