import type { LogContext } from '../../context.ts'
import { newId } from '../../database/ids.ts'
import type { ServerAction } from './rules.ts'

/**
 * Appends an event to the log of the server. An event without a viewer was caused by the operator with the
 * admin command.
 */
export async function recordOnServer(
  { tx, viewer, now }: LogContext,
  action: ServerAction,
  details: Record<string, unknown>,
): Promise<void> {
  await tx
    .insertInto('serverActivity')
    .values({
      id: newId('sev'),
      action,
      actorId: viewer?.userId ?? null,
      tokenId: viewer?.tokenId ?? null,
      at: now(),
      details: JSON.stringify(details),
    })
    .execute()
}
