import { z } from 'zod'
import type { Tx } from '../database/transaction.ts'
import { enqueue } from './queue.ts'
import type { Handler } from './runner.ts'

type Enqueued<P> = { payload: P; runAt?: number; id?: string }

/**
 * Defines a kind of job with a payload. `kind` is stored with each job. `payloadOf` returns the schema of the
 * payload; it must accept what earlier versions have stored, and ignores additional fields.
 */
export function jobKind<P>(kind: string, payloadOf: (zod: typeof z) => z.ZodType<P>) {
  const schema = payloadOf(z)
  return {
    kind,
    /** Enqueues a job of this kind in `tx` and returns its id (see enqueue). */
    enqueue: (tx: Tx, job: Enqueued<P>): Promise<string> => enqueue(tx, { kind, ...job }),
    /** Returns a handler that runs `run` with the payload; a payload of another shape fails the job. */
    handler:
      (run: (payload: P, signal: AbortSignal) => Promise<unknown>): Handler =>
      (payload, signal) =>
        run(schema.parse(payload), signal),
  }
}
