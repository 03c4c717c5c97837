import { setImmediate as yieldToEventLoop } from 'node:timers/promises'

/**
 * Yields rows in the order of the column `key`, which must not contain the empty text, in batches of `size`.
 * `read` returns the next rows after a key, at first after ''. A batch is read only when it is needed,
 * because rows may change meanwhile. Other requests run between two batches.
 */
export async function* batchesBy<K extends string, R extends Record<K, string>>(
  key: K,
  size: number,
  read: (after: string) => Promise<R[]>,
): AsyncGenerator<R[]> {
  for (let after = ''; ; ) {
    const rows = await read(after)
    const last = rows.at(-1)
    if (last) yield rows
    if (!last || rows.length < size) return
    after = last[key]
    await yieldToEventLoop()
  }
}
