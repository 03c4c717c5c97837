/** Lets those who ask for the same thing at the same moment share one answer: fifty confirms read a file once. */
export function createSingleFlight<T>() {
  const running = new Map<string, Promise<T>>()
  return (name: string, find: () => Promise<T>) => {
    const shared = running.get(name) ?? find().finally(() => running.delete(name))
    running.set(name, shared)
    return shared
  }
}
