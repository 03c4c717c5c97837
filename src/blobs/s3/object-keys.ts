import { requireKey } from '../key.ts'

/**
 * The object keys of a store: committed blobs are spread over 65,536 prefixes; the incomplete parts of a key
 * are below its own name.
 */
export type ObjectKeys = ReturnType<typeof createObjectKeys>

/** Returns the object keys below `prefix`, which is empty or ends with a slash. */
export function createObjectKeys(prefix: string) {
  const folders = { kept: `${prefix}kept/`, incompleteParts: `${prefix}tails/` }
  const incompletePartsOf = (key: string) => `${folders.incompleteParts}${requireKey(key)}/`
  return {
    folders,
    /**
     * Uses the last characters, as on disk: the first ones are a time stamp, and buckets partition their load
     * by prefix.
     */
    kept: (key: string) =>
      `${folders.kept}${requireKey(key).slice(-4, -2)}/${key.slice(-2)}/${key}`,
    incompletePartsOf,
    incompletePart: (key: string, name: string) => `${incompletePartsOf(key)}${name}`,
  }
}
