/** For what goes on beside a story, which awaits it later: where the story fails before, this is not what has failed. */
export function heard<T>(beside: Promise<T>): Promise<T> {
  beside.catch(() => {})
  return beside
}
