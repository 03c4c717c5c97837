/** 0 to `count` − 1, so many at once; the results in that order. */
export async function pooled<T>(count: number, atOnce: number, act: (n: number) => Promise<T>) {
  const results: T[] = []
  let next = 0
  const lane = async () => {
    while (next < count) {
      const n = next++
      results[n] = await act(n)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, lane))
  return results
}
