import type { Tx } from './transaction.ts'

/**
 * An extension point of a lower-layer domain. Higher layers register listeners when their modules load; the
 * lower layer calls them inside its transaction.
 */
export type Hook<Event> = {
  listen: (listener: Listener<Event>) => void
  call: (tx: Tx, event: Event) => Promise<void>
}
type Listener<Event> = (tx: Tx, event: Event) => Promise<unknown>

/** Creates a hook without listeners. */
export function hook<Event>(): Hook<Event> {
  const listeners: Listener<Event>[] = []
  return {
    listen: (listener) => void listeners.push(listener),
    async call(tx, event) {
      for (const listener of listeners) await listener(tx, event)
    },
  }
}
