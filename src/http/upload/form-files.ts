import type { Readable } from 'node:stream'
import { FILE_REQUIRED, malformed, noFileChosen, tooLarge } from './form-errors.ts'
import { type FormParser, fileNameOf, MAX_FILES } from './form-parser.ts'

/** Names of the fields with files. Uppy sends several files as `files[]`. */
const fileFields = ['file', 'files', 'file[]', 'files[]']

/** A file of a form. `name` is null if the part has no file name. */
export type FilePart = { bytes: Readable; name: string | null; mediaType: string }
/** A file of a form, and what `store` returned for it. */
export type StoredPart<T> = { part: FilePart; stored: T }

type Collecting<T> = {
  maxFileBytes: number
  /** Stores the bytes of a file. Called for one file at a time. */
  store: (part: FilePart) => Promise<T>
  reject: (error: unknown) => void
}

/**
 * Stores the files of a form one after another, because several small files arrive at once. `files` resolves
 * with them when all are stored, and rejects with InvalidInput if no file was chosen and with HttpError (400)
 * if the form has no field for a file. `stop` resolves once the current `store` has settled.
 */
export function collectFiles<T>(form: FormParser, { maxFileBytes, store, reject }: Collecting<T>) {
  const files: StoredPart<T>[] = []
  let storing: Promise<unknown> = Promise.resolve()
  let unchosen = 0
  let isStopped = false
  const storeNext = async (part: FilePart) => {
    if (isStopped) return
    if (!(await isUnchosen(part))) files.push({ part, stored: await store(part) })
    else {
      unchosen++
      part.bytes.resume()
    }
  }
  form.on('file', (field, bytes, { filename, mimeType }) => {
    // If the form breaks off, `store` notices that the file did not end.
    bytes.on('error', () => {})
    if (!fileFields.includes(field)) return reject(malformed(FILE_REQUIRED))
    bytes.once('limit', () => reject(tooLarge(maxFileBytes)))
    const part = { bytes, name: filename ? fileNameOf(filename) : null, mediaType: mimeType }
    storing = storing.then(() => storeNext(part))
    storing.catch(reject)
  })
  // An input without a chosen file is a text field for the parser, unless it has the type of bytes.
  form.on('field', (name, value) => {
    if (fileFields.includes(name) && value === '') unchosen++
  })
  form.once('filesLimit', () => reject(malformed(`too many files (limit ${MAX_FILES})`)))
  return {
    async files() {
      await storing
      if (files.length > 0) return files
      throw unchosen > 0 ? noFileChosen() : malformed(FILE_REQUIRED)
    },
    async stop() {
      isStopped = true
      await storing.catch(() => {})
    },
  }
}

/** Whether a browser sent the part for an input without a chosen file: it has neither a name nor bytes. */
async function isUnchosen({ name, bytes }: FilePart): Promise<boolean> {
  if (name !== null) return false
  const { promise, resolve } = Promise.withResolvers<void>()
  for (const event of ['readable', 'end', 'close']) bytes.once(event, resolve)
  if (bytes.readableLength === 0 && !bytes.closed) await promise
  return bytes.readableLength === 0
}
