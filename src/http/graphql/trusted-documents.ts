import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { StartupError } from '../../config/startup-error.ts'
import {
  checkDocumentLimits,
  parseWithin,
  validateCapped,
} from '../../graphql/limits/document-limits.ts'
import { schema } from '../../schema.ts'

/** Documents by their SHA-256 in lower-case hex. */
export type TrustedDocuments = ReadonlyMap<string, string>

const MAX_FILE_BYTES = 16 * 1024 * 1024
const MAX_REASON_LENGTH = 300

/**
 * Reads the documents of PERSISTED_DOCUMENTS_FILE, a JSON object of documents by their SHA-256. Throws
 * StartupError if it cannot be read, or if a document has another hash, exceeds a limit or does not match
 * the schema.
 */
export function readTrustedDocuments(file: string): TrustedDocuments {
  const documents = parseDocuments(file, readText(file))
  if (documents.length === 0) throw unusable(file, 'it contains no documents')
  for (const [hash, document] of documents) {
    const reason = faultOf(hash, document)
    if (reason) throw unusable(file, `document ${hash.slice(0, 64)}: ${reason}`)
  }
  return new Map(documents as [string, string][])
}

function readText(file: string): string {
  const { size, isFile } = attempt(file, () => {
    const stats = statSync(file)
    return { size: stats.size, isFile: stats.isFile() }
  })
  if (!isFile) throw unusable(file, 'it is not a file')
  if (size > MAX_FILE_BYTES) throw unusable(file, `it has ${size} bytes (limit ${MAX_FILE_BYTES})`)
  return attempt(file, () => readFileSync(file, 'utf8'))
}

function parseDocuments(file: string, text: string): [string, unknown][] {
  const json: unknown = attempt(file, () => JSON.parse(text))
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return Object.entries(json)
  throw unusable(file, 'it is not a JSON object of documents by their SHA-256')
}

/** Returns why a document cannot be served, or null. */
function faultOf(hash: string, document: unknown): string | null {
  if (typeof document !== 'string') return 'it is not a text'
  const actual = createHash('sha256').update(document).digest('hex')
  if (hash !== actual) return `its SHA-256 is ${actual}`
  try {
    const parsed = parseWithin(document)
    checkDocumentLimits(parsed)
    return validateCapped(schema, parsed)[0]?.message ?? null
  } catch (error) {
    return messageOf(error)
  }
}

function attempt<T>(file: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw unusable(file, messageOf(error))
  }
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

const unusable = (file: string, reason: string) =>
  new StartupError(
    `PERSISTED_DOCUMENTS_FILE is ${JSON.stringify(file)}, which cannot be used: ${reason.slice(0, MAX_REASON_LENGTH)}.`,
  )
