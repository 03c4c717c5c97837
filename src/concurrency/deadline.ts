/**
 * Resolves to the result of `work`, or to `otherwise` if the deadline passes first: a number of milliseconds
 * from now, or the abort of a signal. Does not cancel `work`. The timer does not keep the process alive.
 */
export async function withDeadline<T, U>(
  work: Promise<T>,
  deadline: number | AbortSignal,
  otherwise: U,
): Promise<T | U> {
  const expired = Promise.withResolvers<U>()
  const expire = () => expired.resolve(otherwise)
  using _watch =
    typeof deadline === 'number' ? startTimer(deadline, expire) : watch(deadline, expire)
  return await Promise.race([work, expired.promise])
}

function startTimer(ms: number, expire: () => void): Disposable {
  const timer = setTimeout(expire, ms).unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}

function watch(signal: AbortSignal, expire: () => void): Disposable {
  if (signal.aborted) expire()
  signal.addEventListener('abort', expire, { once: true })
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', expire) }
}
