import type { IncomingMessage } from 'node:http'
import type { HttpError } from '../errors.ts'
import { abortError, malformed } from './form-errors.ts'
import { collectFiles, type FilePart, type StoredPart } from './form-files.ts'
import { createParser, type FormParser, MAX_FIELDS } from './form-parser.ts'
import { repairPartHeaders } from './part-headers.ts'

/** Maximum size of everything in a form except its files. */
export const MAX_FORM_OVERHEAD_BYTES = 1_000_000
/** The text fields of a form by name. */
export type Fields = Map<string, string>

type ReadOptions<T> = {
  maxFileBytes: number
  /**
   * Stores the bytes of a file. Called for one file at a time, with the fields received so far. The bytes end
   * early if the form breaks off.
   */
  store: (part: FilePart, fields: Fields) => Promise<T>
  /** Aborted with `idle` when the body is too slow, or with `revoked`. */
  stop: AbortSignal
}

/**
 * Reads multipart/form-data (RFC 7578) with 1 to MAX_FILES files as a stream; memory holds only what `store`
 * has not consumed yet. Resolves when everything is read and stored. Rejects with HttpError (400, 408, 413,
 * 415), InvalidInput if no file was chosen, Unauthenticated or the error of `store`, after `store` has
 * settled. Does not destroy the request, so that the caller can respond.
 */
export async function readForm<T>(
  req: IncomingMessage,
  { maxFileBytes, store, stop }: ReadOptions<T>,
): Promise<{ fields: Fields; files: StoredPart<T>[] }> {
  const form = createParser(req, maxFileBytes)
  const { promise: parsed, resolve, reject } = Promise.withResolvers<void>()
  const fields = collectFields(form, reject)
  const storeFile = (part: FilePart) => store(part, fields)
  const collecting = collectFiles(form, { maxFileBytes, store: storeFile, reject })
  // `on` instead of `once`: busboy emits another error if it is destroyed before the end of the form.
  form.on('error', (error: Error) => reject(malformed(error.message))).once('close', resolve)
  req.once('close', () => req.complete || reject(malformed('the body broke off')))
  stop.addEventListener('abort', () => reject(abortError(stop.reason)), { once: true })
  const repair = repairPartHeaders(req.headers['content-type'] ?? '')
  try {
    req.pipe(repair).pipe(form)
    await parsed
    return { fields, files: await collecting.files() }
  } finally {
    req.unpipe(repair)
    repair.destroy()
    form.destroy()
    await collecting.stop()
  }
}

function collectFields(form: FormParser, reject: (error: HttpError) => void): Fields {
  const fields: Fields = new Map()
  form.on('field', (name, value, { nameTruncated, valueTruncated }) => {
    if (nameTruncated || valueTruncated) reject(malformed(`the field ${name} is too long`))
    else if (fields.has(name)) reject(malformed(`the field ${name} appears more than once`))
    else fields.set(name, value)
  })
  for (const event of ['fieldsLimit', 'partsLimit'] as const) {
    form.once(event, () => reject(malformed(`too many fields (limit ${MAX_FIELDS})`)))
  }
  return fields
}
