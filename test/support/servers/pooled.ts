/** Calls `act` with 0 to `count` − 1, `atOnce` at a time. Returns the results in that order. */
export async function mapConcurrently<T>(
  count: number,
  concurrency: number,
  act: (n: number) => Promise<T>,
) {
  const results: T[] = []
  let next = 0
  const worker = async () => {
    while (next < count) {
      const n = next++
      results[n] = await act(n)
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, count) }, worker))
  return results
}
