import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { type Fault, step } from './kinds.ts'
import { befall, die, fateOf, isAfterwards } from './points.ts'

type Query = (this: Client, ...args: any[]) => Promise<unknown>

/** PostgreSQL, appendix A; the server itself says them. */
const states: Partial<Record<Fault, string>> = {
  ENOSPC: '53100',
  EIO: '58030',
  EIO_READING: '58030',
  EROFS: '25006',
  BUSY: '55P03',
  TIMEOUT: '57014',
}

/** From here on every statement of PostgreSQL passes through the points. */
export function patchPostgres(): void {
  const query = Client.prototype.query as Query
  Client.prototype.query = function (this: Client, ...args: any[]) {
    const text = textOf(args[0])
    if (text === undefined || typeof args.at(-1) === 'function') return query.apply(this, args)
    return answer(this, query, text, args)
  } as Query as typeof Client.prototype.query
}

/** Asked by words alone, or with values and the name under which the connection keeps them. */
const textOf = (asked: string | { text?: string; submit?: unknown }): string | undefined => {
  if (typeof asked === 'string') return asked
  return asked.submit ? undefined : asked.text
}

async function answer(client: Client, query: Query, text: string, args: any[]) {
  const act = () => query.apply(client, args)
  const fault = fateOf(stepOf(client, text))
  if (!fault || fault.startsWith('KILL')) return befall(fault, { act, error: () => die() })
  const state = states[fault]
  if (state) return query.call(client, raising(state, fault))
  if (isAfterwards(fault)) await act()
  cut(client)
  // Until the socket says so, the client would take the next statement for its own.
  await sleep(5)
  throw new Error('Connection terminated unexpectedly')
}

const cut = (client: Client) =>
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()

/** An error as the server makes it, with all that follows for the transaction. */
const raising = (state: string, fault: Fault) =>
  `do $$ begin raise exception '${fault}, as was wished' using errcode = '${state}'; end $$`

/** Within a transaction nothing lasts but its commit. */
function stepOf(client: Client, text: string) {
  const isCommit = /^\s*commit/i.test(text)
  const writes = isCommit || !/^\s*(select|begin|start|rollback|set|listen|unlisten)/i.test(text)
  const lasts = isCommit || (writes && client.getTransactionStatus() === 'I')
  const name = text.replaceAll(/\s+/g, ' ').slice(0, 60)
  return step('postgres', name, { writes, lasts, wantsRoom: lasts })
}
