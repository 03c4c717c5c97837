import { type GraphQLUnionType, getNamedType } from 'graphql'
import { expect } from 'vitest'
import type { Tables } from '../../../src/database/tables.ts'
import { schema } from '../../../src/schema.ts'
import type { TestServer } from '../servers/test-server.ts'
import { keysOf } from './bytes.ts'

type As = { token?: string | null }

/**
 * Fields of each error besides code, message, path and retryable. Fields with one name and different types
 * are aliased.
 */
const fields: Record<string, string> = {
  NotFoundError: 'id',
  ForbiddenError: 'missingScopes requiredRole',
  InvalidInputError: 'issues { path message }',
  NameConflictError: 'existing { id name path } suggestedName',
  StaleRevisionError:
    'expectedRevision: expected actualRevision: actual entry { id name revision }',
  InvalidStateError: 'state',
  NotEmptyError: 'entryCount',
  QuotaExceededError: 'neededBytes usage { quotaBytes remainingBytes reservedBytes currentBytes }',
  FileTooLargeError: 'maxBytes',
  ChecksumMismatchError: 'expectedSha256: expected actualSha256: actual',
  SizeMismatchError: 'expectedBytes: expected actualBytes: actual',
  UploadIncompleteError: 'upload { id status offset size } missingBytes',
  UploadExpiredError: 'expiredAt',
  BatchAbortedError: 'failedIndex',
}
const common = '__typename code message path retryable'
const spread = (type: string) => (fields[type] ? `... on ${type} { ${fields[type]} }` : '')

/** Runs a mutation. Returns its error with all fields. */
export async function errorOf(holdall: TestServer, name: string, input: object, as: As = {}) {
  const union = getNamedType(schema.getMutationType()?.getFields()[name]?.type) as GraphQLUnionType
  const spreads = union.getTypes().map((type) => spread(type.name))
  const query = `mutation ($input: ${name[0]?.toUpperCase()}${name.slice(1)}Input!) {
    ${name}(input: $input) { __typename ... on UserError { ${common} } ${spreads.join(' ')} }
  }`
  return (await holdall.ask(query, { input }, as))[name]
}

/** Runs a batch mutation. Returns the errors of all items, in order. */
async function itemErrorsOf(holdall: TestServer, name: string, input: object, as: As = {}) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
  const spreads = Object.keys(fields).map(spread)
  const query = `mutation ($input: ${type}Input!) {
    ${name}(input: $input) {
      ... on ${type}Payload { results { index entryId entry { id } error { ${common} ${spreads.join(' ')} } } }
    }
  }`
  const { results } = (await holdall.ask(query, { input }, as))[name]
  return results.map(({ error }: { error: unknown }) => error)
}

/** Returns the error of a mutation, and checks that no row and no blob changed. */
export const expectRefused = (holdall: TestServer, name: string, input: object, as: As = {}) =>
  expectUnchanged(holdall, () => errorOf(holdall, name, input, as))
export const expectItemsRefused = (holdall: TestServer, name: string, input: object, as: As = {}) =>
  expectUnchanged(holdall, () => itemErrorsOf(holdall, name, input, as))

/** Runs `act`, and checks that no row and no blob changed, except those of the upload `except`. */
export async function expectUnchanged<T>(
  holdall: TestServer,
  act: () => Promise<T>,
  except?: string,
): Promise<T> {
  const before = await readState(holdall, except)
  const result = await act()
  expect(await readState(holdall, except)).toEqual(before)
  return result
}

const tables = [
  'users',
  'apiTokens',
  'workspaces',
  'members',
  'activity',
  'entries',
  'folderKinds',
  'tags',
  'entryTags',
  'versions',
  'blobs',
  'uploads',
  'shareLinks',
] as const satisfies (keyof Tables)[]

/** Returns every row, without lastUsedAt of tokens, and the keys of all blobs; omits the upload `except`. */
export async function readState(holdall: TestServer, except?: string) {
  const { app } = holdall
  const rows = tables.map((table) => app.db.selectFrom(table).selectAll().execute())
  const used = (row: object) => ('lastUsedAt' in row ? { ...row, lastUsedAt: null } : row)
  return {
    // PostgreSQL returns rows in no particular order.
    rows: (await Promise.all(rows)).map((all) =>
      all
        .filter((row) => !('id' in row) || row.id !== except)
        .map((row) => JSON.stringify(used(row)))
        .sort(),
    ),
    bytes: [await keysOf(holdall, 'staged'), await keysOf(holdall, 'kept')].map((keys) =>
      keys.filter((key) => key !== except),
    ),
  }
}
