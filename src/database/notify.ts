import { afterCommit, type Tx } from './transaction.ts'

/*
 * News without a content: it only says that it is time to look at the rows of a topic, so that nothing grows while
 * somebody looks slowly. Within one process; over PostgreSQL `announce` would NOTIFY inside `tx`, and each process that
 * LISTENs would call `wake`.
 */

type Ear = { heard: boolean; wake: () => void }
const ears = new Map<string, Set<Ear>>()

/** Tells all who listen to `topic`, once `tx` has committed. */
export function announce(tx: Tx, topic: string): void {
  afterCommit(tx, () => wake(topic))
}

function wake(topic: string) {
  for (const ear of ears.get(topic) ?? []) {
    ear.heard = true
    ear.wake()
  }
}

export type Listening = Disposable & {
  /** Resolves with the next announcement, at once where one came since the last time; else after `ms` or with `signal`. */
  news: (ms: number, signal: AbortSignal) => Promise<void>
}

/** From now on no announcement of `topic` is missed, until it is disposed. */
export function listen(topic: string): Listening {
  const ear: Ear = { heard: false, wake() {} }
  const all = ears.get(topic) ?? new Set()
  ears.set(topic, all.add(ear))
  return {
    async news(ms, signal) {
      if (!ear.heard && !signal.aborted) await wakened(ear, ms, signal)
      ear.heard = false
    },
    [Symbol.dispose]() {
      all.delete(ear)
      if (all.size === 0 && ears.get(topic) === all) ears.delete(topic)
    },
  }
}

function wakened(ear: Ear, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    signal.addEventListener('abort', wake, { once: true })
    ear.wake = wake
  })
}
