import type { Tx } from './transaction.ts'

/** A named moment of an elder domain that its juniors fill while they load; called inside the elder's transaction. */
export type Hook<Event> = {
  listen: (listener: Listener<Event>) => void
  call: (tx: Tx, event: Event) => Promise<void>
}
type Listener<Event> = (tx: Tx, event: Event) => Promise<unknown>

export function hook<Event>(): Hook<Event> {
  const listeners: Listener<Event>[] = []
  return {
    listen: (listener) => void listeners.push(listener),
    async call(tx, event) {
      for (const listener of listeners) await listener(tx, event)
    },
  }
}
