/**
 * Marks a promise that is awaited later as handled, so that an earlier failure of the test is reported
 * instead of its rejection.
 */
export function markHandled<T>(beside: Promise<T>): Promise<T> {
  beside.catch(() => {})
  return beside
}
