import { requireKey } from '../key.ts'

/** Where in the bucket a key lives: kept below one of 65,536 prefixes, its tails below its own name. */
export type ObjectKeys = ReturnType<typeof objectKeys>

export function objectKeys(prefix: string) {
  const folders = { kept: `${prefix}kept/`, tails: `${prefix}tails/` }
  const tailsOf = (key: string) => `${folders.tails}${requireKey(key)}/`
  return {
    folders,
    /** By the last characters, as on the disk: keys begin with the time of their making, and a bucket spreads its load by prefix. */
    kept: (key: string) =>
      `${folders.kept}${requireKey(key).slice(-4, -2)}/${key.slice(-2)}/${key}`,
    tailsOf,
    tail: (key: string, name: string) => `${tailsOf(key)}${name}`,
  }
}
