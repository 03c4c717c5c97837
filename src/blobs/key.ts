const KEY = /^[a-z]+_[0-9a-f]{32}$/

/** `text` where it has the form of a key, else null. No other text ever becomes part of a path. */
export const parseKey = (text: string) => (KEY.test(text) ? text : null)

/** Refuses what is not a key before it touches the disk or bucket: a TypeError, for the house makes keys, not its guests. */
export function requireKey(text: string) {
  if (!KEY.test(text)) throw new TypeError(`${JSON.stringify(text)} is not the key of a blob`)
  return text
}
