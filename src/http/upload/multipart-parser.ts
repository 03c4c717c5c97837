import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import busboy from 'busboy'
import { Unauthenticated } from '../../errors.ts'
import { HttpError } from '../errors.ts'

/** So much may stand around a file in a form, in fields and their headers. */
export const MOST_AROUND_BYTES = 1_000_000
const limits = { files: 2, fields: 32, parts: 40, fieldSize: 64 * 1024, fieldNameSize: 100 }

export type FilePart = { bytes: Readable; name: string | null; mediaType: string }
export type Fields = Map<string, string>

type Reading<T> = {
  maxFileBytes: number
  /** Is given the fields that stand before the file, and takes its bytes: as many as come, if the form breaks off. */
  store: (part: FilePart, fields: Fields) => Promise<T>
  /** Aborted with `idle` where no byte, or next to none, has come for too long, or with `revoked`. */
  stop: AbortSignal
}
type Read<T> = { fields: Fields; part: FilePart; stored: T }

/**
 * Reads multipart/form-data (RFC 7578) with one file, as it comes: what is in memory is what `store` has not taken yet. Resolves
 * once all was read and stored; rejects with HttpError (400, 408, 413, 415), Unauthenticated or what `store` throws, and then `store` has
 * ended, too. The request stays its owner's, to answer it.
 */
export async function readForm<T>(req: IncomingMessage, reading: Reading<T>): Promise<Read<T>> {
  const form = parserOf(req, reading.maxFileBytes)
  const { promise: parsed, resolve, reject } = Promise.withResolvers<void>()
  const fields = collectFields(form, reject)
  const storing: Promise<Omit<Read<T>, 'fields'>>[] = []
  form.on('file', (field, bytes, { filename, mimeType }) => {
    // A form that breaks off breaks its file, too; who stores it sees that it did not end.
    bytes.on('error', () => {})
    if (storing.length > 0 || field !== 'file') return reject(malformed(oneFile))
    bytes.once('limit', () => reject(tooLarge(reading.maxFileBytes)))
    const part = { bytes, name: filename || null, mediaType: mimeType }
    const stored = reading.store(part, fields).then((stored) => ({ part, stored }))
    stored.catch(reject)
    storing.push(stored)
  })
  // It may fail more than once: what it has not read to its end when it is destroyed is a fault of its own.
  form.on('error', (error: Error) => reject(malformed(error.message))).once('close', resolve)
  req.once('close', () => req.complete || reject(malformed('it broke off')))
  reading.stop.addEventListener('abort', () => reject(stopped(reading.stop.reason)), { once: true })
  try {
    req.pipe(form)
    await parsed
    const [file] = await Promise.all(storing)
    if (!file) throw malformed(oneFile)
    return { fields, ...file }
  } finally {
    req.unpipe(form)
    form.destroy()
    await Promise.allSettled(storing)
  }
}

function collectFields(form: busboy.Busboy, reject: (problem: HttpError) => void): Fields {
  const fields: Fields = new Map()
  form.on('field', (name, value, { nameTruncated, valueTruncated }) => {
    if (nameTruncated || valueTruncated) reject(malformed(`${name} is too long`))
    else if (fields.has(name)) reject(malformed(`${name} is there twice`))
    else fields.set(name, value)
  })
  for (const event of ['fieldsLimit', 'partsLimit'] as const) {
    form.once(event, () => reject(malformed('too many fields')))
  }
  return fields
}

function parserOf({ headers }: IncomingMessage, maxFileBytes: number) {
  const [type = ''] = (headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() !== 'multipart/form-data') {
    throw new HttpError(415, 'UNSUPPORTED_MEDIA_TYPE', 'a form is multipart/form-data')
  }
  try {
    // RFC 7578, section 5.1: names are UTF-8 unless they say otherwise. One byte more than may be shows what is too large.
    const options = { headers, defParamCharset: 'utf8' }
    return busboy({ ...options, limits: { ...limits, fileSize: maxFileBytes + 1 } })
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : 'its boundary is missing')
  }
}

const oneFile = 'one file is needed, in the field `file`'

const malformed = (what: string) => new HttpError(400, 'BAD_REQUEST', `the form: ${what}`)

export const tooLarge = (maxBytes: number) =>
  new HttpError(
    413,
    'FILE_TOO_LARGE',
    `a form takes a file of at most ${maxBytes} bytes; createUpload, or tus at /uploads, takes larger ones`,
  )

const stopped = (reason: unknown) =>
  reason === 'revoked'
    ? new Unauthenticated()
    : new HttpError(408, 'TIMEOUT', 'no byte, or next to none, has come for too long')
