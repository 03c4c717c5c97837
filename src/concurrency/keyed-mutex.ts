const lines = new Map<string, Promise<unknown>>()

/** Those who try at the same moment stand in a line, one for each key, so that no try slips past the count of the one before it. */
export async function withKeyLock<T>(key: string, story: () => Promise<T>): Promise<T> {
  const before = lines.get(key) ?? Promise.resolve()
  const mine = before.then(story, story)
  lines.set(key, mine)
  return mine.finally(() => {
    if (lines.get(key) === mine) lines.delete(key)
  })
}
