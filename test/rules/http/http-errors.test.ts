import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { CommitUnknown, ConnectionLost, NoConnection } from '../../../src/database/errors.ts'
import { Forbidden, NotFound, Unauthenticated } from '../../../src/errors/access.ts'
import { RateLimited, StorageError } from '../../../src/errors/availability.ts'
import {
  Cycle,
  InvalidState,
  NameConflict,
  NotEmpty,
  StaleRevision,
} from '../../../src/errors/entries.ts'
import { InvalidInput } from '../../../src/errors/input.ts'
import {
  ChecksumMismatch,
  FileTooLarge,
  MediaTypeRejected,
  QuotaExceeded,
  SizeMismatch,
  UploadExpired,
  UploadIncomplete,
} from '../../../src/errors/uploads.ts'
import { HttpError, sendError, statusOf } from '../../../src/http/errors.ts'

const full = Object.assign(new Error('ENOSPC: /data/kept/ab'), { code: 'ENOSPC' })
const lost = Object.assign(new Error('ENOENT: /data/kept/ab'), { code: 'ENOENT' })
const busy = Object.assign(new Error('EMFILE: /data/kept/ab'), { code: 'EMFILE' })
const storage = (cause: unknown) => new StorageError('ab cannot be read', { cause })

test.each([
  [new Unauthenticated(), 401],
  [new Forbidden({ missingScopes: ['FILES_READ'] }), 403],
  [new NotFound('file_1'), 404],
  [new InvalidInput({ path: ['name'], message: 'is empty' }), 400],
  [new NameConflict({ name: 'a', existingId: 'file_1', suggestedName: 'a (2)' }), 409],
  [new StaleRevision({ expected: 1, actual: 2, entryId: 'file_1' }), 409],
  [new Cycle(), 409],
  [new InvalidState('CANCELED', 'it was canceled'), 409],
  [new NotEmpty(3), 409],
  [new QuotaExceeded({ workspaceId: 'ws_1', neededBytes: 1, remainingBytes: 0 }), 507],
  [new FileTooLarge(1), 413],
  [new MediaTypeRejected(['image/png']), 415],
  [new ChecksumMismatch({ expected: 'a', actual: 'b' }), 460],
  [new SizeMismatch({ expected: 1, actual: 2 }), 409],
  [new UploadIncomplete({ uploadId: 'upl_1', missingBytes: 1 }), 409],
  [new UploadExpired(0), 410],
  [new RateLimited(7), 429],
  [storage(full), 507],
  [storage(storage(full)), 507],
  [storage(busy), 503],
  [storage(lost), 500],
  [storage(undefined), 500],
  [new ConnectionLost(new Error('Connection terminated unexpectedly')), 503],
  [new CommitUnknown(new Error('Connection terminated unexpectedly')), 503],
  [new NoConnection(new AggregateError([])), 503],
  [
    Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' }),
    503,
  ],
  [Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' }), 507],
  [Object.assign(new Error('could not extend file'), { code: '53100' }), 507],
  [Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' }), 500],
  // A broken client connection is not a database error.
  [Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }), 500],
  [new HttpError(405, 'METHOD_NOT_ALLOWED', 'no'), 405],
  [new Error('boom'), 500],
  ['boom', 500],
  [undefined, 500],
])('%s is %i', (error, status) => {
  expect(statusOf(error)).toBe(status)
})

test('sends an error as one line of JSON with code and message', async () => {
  const { response, logged } = await answered(new NotFound('file_1'))
  expect(response.status).toBe(404)
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(await response.text()).toBe(
    '{"code":"NOT_FOUND","message":"no object with the id file_1 was found"}\n',
  )
  expect(logged).toEqual([])
})

test('includes the path of invalid input', async () => {
  const { response } = await answered(new InvalidInput({ path: ['name'], message: 'is empty' }))
  expect(await response.json()).toEqual({
    code: 'INVALID_INPUT',
    message: 'name: is empty',
    path: ['name'],
  })
})

test('sends the headers of an error', async () => {
  const headersOf = async (error: unknown) => (await answered(error)).response.headers
  expect((await headersOf(new Unauthenticated())).get('www-authenticate')).toBe('Bearer')
  expect((await headersOf(new RateLimited(7))).get('retry-after')).toBe('7')
  expect((await headersOf(storage(busy))).get('retry-after')).toBe('1')
  const refused = new HttpError(405, 'METHOD_NOT_ALLOWED', 'no', { Allow: 'GET, HEAD' })
  expect((await headersOf(refused)).get('allow')).toBe('GET, HEAD')
})

test('S34: logs an unexpected error, and sends only the request id to the client', async () => {
  const error = new Error('SELECT secret FROM /data/holdall.db')
  const { response, logged } = await answered(error)
  expect(response.status).toBe(500)
  expect(await response.json()).toEqual({
    code: 'INTERNAL_SERVER_ERROR',
    message: 'internal server error',
    requestId: 'req-1',
  })
  expect(logged).toEqual([[error, 'req-1']])
})

test('S34: logs a storage error, and sends no path to the client', async () => {
  const { response, logged } = await answered(storage(lost))
  expect(await response.json()).toEqual({
    code: 'STORAGE_ERROR',
    message: 'storage error; retry later',
    requestId: 'req-1',
  })
  expect(logged).toHaveLength(1)
})

test('does not log errors of the caller, whatever their status', async () => {
  const expected = [
    new QuotaExceeded({ workspaceId: 'ws_1', neededBytes: 1, remainingBytes: 0 }),
    new HttpError(503, 'CLOSING', 'try again'),
  ]
  for (const error of expected) expect((await answered(error)).logged).toEqual([])
})

test('aborts a response that has already started', async () => {
  const { response } = await answered(new Error('boom'), 'half of it')
  await expect(response.text()).rejects.toThrow()
})

/** Returns the response of a server whose only handler throws `error`. */
async function answered(error: unknown, before?: string) {
  const logged: unknown[] = []
  const log = (thrown: unknown, requestId: string) => logged.push([thrown, requestId])
  const server = createServer((_, res) => {
    if (before) res.write(before, () => sendError(res, error, { requestId: 'req-1', log }))
    else sendError(res, error, { requestId: 'req-1', log })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  return { response, logged }
}
