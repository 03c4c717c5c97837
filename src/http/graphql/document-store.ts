/** A bounded store of documents by their hash. */
export type DocumentStore = {
  get: (hash: string) => string | undefined
  set: (hash: string, document: string) => void
}

/** Keys, and what V8 needs for each entry. */
const ENTRY_BYTES = 256
/** V8 stores a text with one character beyond Latin-1 as UTF-16. */
const BYTES_PER_CHARACTER = 2

const sizeOf = (characters: number) => characters * BYTES_PER_CHARACTER + ENTRY_BYTES

/** Creates a store of at most `maxBytes` bytes in memory, which drops what was not used for longest. */
export function createDocumentStore(maxBytes: number): DocumentStore {
  // A Map iterates in the order of insertion; each use inserts the entry again.
  const documents = new Map<string, string>()
  let bytes = 0

  function get(hash: string) {
    const document = documents.get(hash)
    if (document === undefined) return undefined
    documents.delete(hash)
    documents.set(hash, document)
    return document
  }

  function set(hash: string, document: string) {
    if (documents.has(hash)) return
    documents.set(hash, document)
    bytes += sizeOf(document.length)
    for (const [oldest, { length }] of documents) {
      if (bytes <= maxBytes) return
      documents.delete(oldest)
      bytes -= sizeOf(length)
    }
  }

  return { get, set }
}
