import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import busboy from 'busboy'
import { Unauthenticated } from '../../errors/access.ts'
import { HttpError } from '../errors.ts'

/** Maximum size of everything in a form except the file. */
export const MAX_FORM_OVERHEAD_BYTES = 1_000_000
const limits = { files: 2, fields: 32, parts: 40, fieldSize: 64 * 1024, fieldNameSize: 100 }

/** The file of a form. `name` is null if the part has no file name. */
export type FilePart = { bytes: Readable; name: string | null; mediaType: string }
/** The text fields of a form by name. */
export type Fields = Map<string, string>

type ReadOptions<T> = {
  maxFileBytes: number
  /**
   * Stores the bytes of the file. Receives the fields before the file. The bytes end early if the form
   * breaks off.
   */
  store: (part: FilePart, fields: Fields) => Promise<T>
  /** Aborted with `idle` when the body is too slow, or with `revoked`. */
  stop: AbortSignal
}
type ParsedForm<T> = { fields: Fields; part: FilePart; stored: T }

/**
 * Reads multipart/form-data (RFC 7578) with one file as a stream; memory holds only what `store` has not
 * consumed yet. Resolves when everything is read and stored. Rejects with HttpError (400, 408, 413, 415),
 * Unauthenticated or the error of `store`, after `store` has settled. Does not destroy the request, so that
 * the caller can respond.
 */
export async function readForm<T>(
  req: IncomingMessage,
  options: ReadOptions<T>,
): Promise<ParsedForm<T>> {
  const form = createParser(req, options.maxFileBytes)
  const { promise: parsed, resolve, reject } = Promise.withResolvers<void>()
  const fields = collectFields(form, reject)
  const storing: Promise<Omit<ParsedForm<T>, 'fields'>>[] = []
  form.on('file', (field, bytes, { filename, mimeType }) => {
    // If the form breaks off, `store` notices that the file did not end.
    bytes.on('error', () => {})
    if (storing.length > 0 || field !== 'file') return reject(malformed(ONE_FILE_REQUIRED))
    bytes.once('limit', () => reject(tooLarge(options.maxFileBytes)))
    const part = { bytes, name: filename || null, mediaType: mimeType }
    const stored = options.store(part, fields).then((stored) => ({ part, stored }))
    stored.catch(reject)
    storing.push(stored)
  })
  // `on` instead of `once`: busboy emits another error if it is destroyed before the end of the form.
  form.on('error', (error: Error) => reject(malformed(error.message))).once('close', resolve)
  req.once('close', () => req.complete || reject(malformed('the body broke off')))
  options.stop.addEventListener('abort', () => reject(abortError(options.stop.reason)), {
    once: true,
  })
  try {
    req.pipe(form)
    await parsed
    const [file] = await Promise.all(storing)
    if (!file) throw malformed(ONE_FILE_REQUIRED)
    return { fields, ...file }
  } finally {
    req.unpipe(form)
    form.destroy()
    await Promise.allSettled(storing)
  }
}

function collectFields(form: busboy.Busboy, reject: (error: HttpError) => void): Fields {
  const fields: Fields = new Map()
  form.on('field', (name, value, { nameTruncated, valueTruncated }) => {
    if (nameTruncated || valueTruncated) reject(malformed(`the field ${name} is too long`))
    else if (fields.has(name)) reject(malformed(`the field ${name} appears more than once`))
    else fields.set(name, value)
  })
  for (const event of ['fieldsLimit', 'partsLimit'] as const) {
    form.once(event, () => reject(malformed(`too many fields (limit ${limits.fields})`)))
  }
  return fields
}

function createParser({ headers }: IncomingMessage, maxFileBytes: number) {
  const [type = ''] = (headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() !== 'multipart/form-data') {
    throw new HttpError(
      415,
      'UNSUPPORTED_MEDIA_TYPE',
      'the request must have Content-Type: multipart/form-data',
    )
  }
  try {
    // RFC 7578, section 5.1: names are UTF-8 by default. The extra byte of fileSize detects files above the
    // limit.
    const options = { headers, defParamCharset: 'utf8' }
    return busboy({ ...options, limits: { ...limits, fileSize: maxFileBytes + 1 } })
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : 'the boundary is missing')
  }
}

const ONE_FILE_REQUIRED = 'exactly one file is required, in the field `file`'

const malformed = (what: string) => new HttpError(400, 'BAD_REQUEST', `malformed form: ${what}`)

/** Returns the error for a file that exceeds the limit of forms. */
export const tooLarge = (maxBytes: number) =>
  new HttpError(
    413,
    'FILE_TOO_LARGE',
    `the file exceeds ${maxBytes} bytes, the limit of forms; use createUpload or tus at /uploads for larger files`,
  )

const abortError = (reason: unknown) =>
  reason === 'revoked'
    ? new Unauthenticated()
    : new HttpError(408, 'TIMEOUT', 'the body is too slow or has stalled')
