import type { IncomingMessage } from 'node:http'
import busboy from 'busboy'
import { HttpError } from '../errors.ts'
import { malformed } from './form-errors.ts'

/** Maximum number of files in one form, as in one batch of createUploads. */
export const MAX_FILES = 100
/** Maximum number of text fields in one form. */
export const MAX_FIELDS = 32
const limits = {
  ...{ files: MAX_FILES, fields: MAX_FIELDS, parts: MAX_FILES + MAX_FIELDS + 8 },
  ...{ fieldSize: 64 * 1024, fieldNameSize: 100 },
}

/** Emits the fields and files of a form. */
export type FormParser = busboy.Busboy

/**
 * Returns a parser of the body of `req`, which reports files of more than `maxFileBytes` bytes. Throws
 * HttpError (400, 415).
 */
export function createParser({ headers }: IncomingMessage, maxFileBytes: number): FormParser {
  const [type = ''] = (headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() !== 'multipart/form-data') {
    throw new HttpError(
      415,
      'UNSUPPORTED_MEDIA_TYPE',
      'the request must have Content-Type: multipart/form-data',
    )
  }
  try {
    // One character for each byte, for fileNameOf. The extra byte of fileSize detects files above the
    // limit.
    const options = { headers, defParamCharset: 'latin1' }
    return busboy({ ...options, limits: { ...limits, fileSize: maxFileBytes + 1 } })
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : 'the boundary is missing')
  }
}

/**
 * Returns the file name that the parser reports for the bytes of `filename`: UTF-8 (RFC 7578, section 5.1),
 * or else Latin-1. Returns a name from `filename*` unchanged, which the parser has decoded.
 */
export function fileNameOf(parsed: string): string {
  if (/[^\0-\xff]/.test(parsed)) return parsed
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(parsed, 'latin1'))
  } catch {
    return parsed
  }
}
