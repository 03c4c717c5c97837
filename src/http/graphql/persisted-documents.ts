import { createHash } from 'node:crypto'
import { GraphQLError } from 'graphql'
import type { GraphQLParams, Plugin } from 'graphql-yoga'
import type { Config } from '../../config/config.ts'
import type { Context } from '../../graphql/context.ts'
import type { RequestContext } from '../request-context.ts'
import { createDocumentStore, type DocumentStore } from './document-store.ts'
import { readTrustedDocuments, type TrustedDocuments } from './trusted-documents.ts'

const MAX_STORE_BYTES = 16 * 1024 * 1024
type ContextPlugin = Plugin<Context & RequestContext>

const HASH = /^[0-9a-f]{64}$/

/**
 * Runs documents that clients refer to by their SHA-256, as PERSISTED_DOCUMENTS requires: none, those that
 * clients with a token have sent before (automatic persisted queries), or only those of a file. A document
 * is then parsed, limited and validated like any other. Throws StartupError if the file is unusable.
 */
export function usePersistedDocuments(persisted: Config['persistedDocuments']): ContextPlugin {
  if (persisted.mode === 'only') return useTrusted(readTrustedDocuments(persisted.file))
  return persisted.mode === 'apq' ? useAutomatic(createDocumentStore(MAX_STORE_BYTES)) : refuseAll
}

const refuseAll: ContextPlugin = {
  onParams({ params }) {
    if (params.query == null && extensionOf(params) != null) throw notSupported()
  },
}

function useAutomatic(store: DocumentStore): ContextPlugin {
  return {
    async onParams({ params, setParams, context }) {
      const hash = requestedHash(params)
      if (hash === null || params.query != null) return
      const query = store.get(hash)
      if (query === undefined)
        throw (await hasViewer(context as unknown as RequestContext)) ? notFound() : notSupported()
      setParams({ ...params, query })
    },
    onExecute: ({ args }) => register(store, args.contextValue),
    onSubscribe: ({ args }) => register(store, args.contextValue),
  }
}

/** Stores the document of a request that passed all checks, if its client has a token. */
function register(store: DocumentStore, { viewer, params }: Context & { params: GraphQLParams }) {
  const hash = requestedHash(params)
  if (viewer && hash !== null && params.query) store.set(hash, params.query)
}

function useTrusted(documents: TrustedDocuments): ContextPlugin {
  return {
    onParams({ params, setParams }) {
      const hash = requestedHash(params) ?? hashOf(params.query)
      // Without hash and query, Yoga reports what is missing.
      if (hash === null) return
      const query = documents.get(hash)
      if (query === undefined) throw notInList()
      setParams({ ...params, query })
    },
  }
}

const extensionOf = ({ extensions }: GraphQLParams): unknown => extensions?.persistedQuery

/**
 * Returns the hash of a request, or null if it has none. Throws an error if the hash is malformed or is not
 * that of the query beside it.
 */
function requestedHash(params: GraphQLParams): string | null {
  const extension = extensionOf(params)
  if (extension == null) return null
  const { version, sha256Hash } = Object(extension) as { version?: unknown; sha256Hash?: unknown }
  if (version !== 1 || typeof sha256Hash !== 'string' || !HASH.test(sha256Hash)) throw malformed()
  if ((hashOf(params.query) ?? sha256Hash) !== sha256Hash) throw mismatch()
  return sha256Hash
}

/** Returns the hash of a query, or null if it is not a text, which Yoga reports. */
const hashOf = (query: unknown) =>
  typeof query === 'string' ? createHash('sha256').update(query).digest('hex') : null

/** An invalid token counts as no token here and is rejected later. */
const hasViewer = ({ authenticate }: RequestContext): Promise<boolean> =>
  authenticate().then(
    ({ viewer }) => viewer !== null,
    () => false,
  )

const failure = (status: number, code: string, message: string) =>
  new GraphQLError(message, { extensions: { code, http: { status } } })

// Messages, codes and statuses are those of Apollo Server, by which clients fall back to the whole document.
const notSupported = () =>
  failure(200, 'PERSISTED_QUERY_NOT_SUPPORTED', 'PersistedQueryNotSupported')
const notFound = () => failure(200, 'PERSISTED_QUERY_NOT_FOUND', 'PersistedQueryNotFound')
const mismatch = () =>
  failure(400, 'PERSISTED_QUERY_MISMATCH', 'sha256Hash is not the SHA-256 of the query')
const malformed = () =>
  failure(
    400,
    'BAD_REQUEST',
    'extensions.persistedQuery must have the version 1 and a sha256Hash of 64 lower-case hex digits',
  )
const notInList = () =>
  failure(
    400,
    'PERSISTED_QUERY_NOT_IN_LIST',
    'this server runs only the documents of its list, and this one is not among them',
  )
