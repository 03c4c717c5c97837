import { Unauthenticated } from '../../errors/access.ts'
import { InvalidInput } from '../../errors/input.ts'
import { HttpError } from '../errors.ts'

/** Returns the error for a form that cannot be read. */
export const malformed = (what: string) =>
  new HttpError(400, 'BAD_REQUEST', `malformed form: ${what}`)

export const FILE_REQUIRED = 'a file is required, in the field `file`'

/** Returns the error for a form in which no file was chosen. */
export const noFileChosen = () =>
  new InvalidInput({
    path: ['file'],
    message: 'no file was chosen; choose a file and send it again',
  })

/** Returns the error for files that exceed the limit of forms. */
export const tooLarge = (maxBytes: number) =>
  new HttpError(
    413,
    'FILE_TOO_LARGE',
    `the files of a form may have ${maxBytes} bytes; use createUpload or tus at /uploads for larger files`,
  )

/** Returns the error for a body that the server stopped reading. */
export const abortError = (reason: unknown) =>
  reason === 'revoked'
    ? new Unauthenticated()
    : new HttpError(408, 'TIMEOUT', 'the body is too slow or has stalled')
