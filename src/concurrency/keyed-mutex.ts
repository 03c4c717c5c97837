const tails = new Map<string, Promise<unknown>>()

/** Runs `fn` under a lock: calls with the same key run one after the other, in the order of the calls. */
export async function withKeyLock<T>(key: string, fn: () => Promise<T>): Promise<T> {
  const previous = tails.get(key) ?? Promise.resolve()
  const current = previous.then(fn, fn)
  tails.set(key, current)
  return current.finally(() => {
    if (tails.get(key) === current) tails.delete(key)
  })
}
