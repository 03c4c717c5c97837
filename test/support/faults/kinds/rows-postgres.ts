import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { type Fault, step } from './kinds.ts'
import { applyFault, faultOf, killSelf, strikesAfterwards } from './points.ts'

type Query = (this: Client, ...args: any[]) => Promise<unknown>

/** SQLSTATE codes (PostgreSQL, appendix A) with the messages of the server. */
const states: Partial<Record<Fault, string>> = {
  ENOSPC: '53100',
  EIO: '58030',
  EIO_READING: '58030',
  EROFS: '25006',
  BUSY: '55P03',
  TIMEOUT: '57014',
}

/** Routes every statement of PostgreSQL through the fault points. */
export function patchPostgres(): void {
  const query = Client.prototype.query as Query
  Client.prototype.query = function (this: Client, ...args: any[]) {
    const text = textOf(args[0])
    if (text === undefined || typeof args.at(-1) === 'function') return query.apply(this, args)
    return answer(this, query, text, args)
  } as Query as typeof Client.prototype.query
}

/** A statement is a string, or an object with values and the name of a prepared statement. */
const textOf = (statement: string | { text?: string; submit?: unknown }): string | undefined => {
  if (typeof statement === 'string') return statement
  return statement.submit ? undefined : statement.text
}

async function answer(client: Client, query: Query, text: string, args: any[]) {
  const act = () => query.apply(client, args)
  const fault = faultOf(stepOf(client, text))
  if (!fault || fault.startsWith('KILL')) return applyFault(fault, { act, error: () => killSelf() })
  const state = states[fault]
  if (state) return query.call(client, raising(state, fault))
  if (strikesAfterwards(fault)) await act()
  cut(client)
  // Until the socket is closed, the client would use the connection for the next statement.
  await sleep(5)
  throw new Error('Connection terminated unexpectedly')
}

const cut = (client: Client) =>
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()

/** Returns an error of the server; it aborts the transaction. */
const raising = (state: string, fault: Fault) =>
  `do $$ begin raise exception '${fault}, injected' using errcode = '${state}'; end $$`

/** Describes a statement as a step. Within a transaction only the commit lasts. */
function stepOf(client: Client, text: string) {
  const isCommit = /^\s*commit/i.test(text)
  const writes = isCommit || !/^\s*(select|begin|start|rollback|set|listen|unlisten)/i.test(text)
  const lasts = isCommit || (writes && client.getTransactionStatus() === 'I')
  const name = text.replaceAll(/\s+/g, ' ').slice(0, 60)
  return step('postgres', name, { writes, lasts, wantsRoom: lasts })
}
