/**
 * Creates a function that shares one call among concurrent callers with the same key: 50 confirms of the same
 * content read a file once.
 */
export function createSingleFlight<T>() {
  const running = new Map<string, Promise<T>>()
  return (key: string, fn: () => Promise<T>) => {
    const shared = running.get(key) ?? fn().finally(() => running.delete(key))
    running.set(key, shared)
    return shared
  }
}
