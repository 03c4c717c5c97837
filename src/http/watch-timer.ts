/**
 * Calls `check` every `intervalMs` while at least one entry is in `running`: `start` after adding an entry,
 * `stopIfIdle` after removing one. The timer does not keep the process alive.
 */
export function createWatchTimer(
  running: ReadonlyMap<unknown, unknown>,
  intervalMs: number,
  check: () => void,
) {
  let timer: NodeJS.Timeout | undefined
  return {
    start() {
      timer ??= setInterval(check, intervalMs).unref()
    },
    stopIfIdle() {
      if (running.size > 0) return
      clearInterval(timer)
      timer = undefined
    },
  }
}
