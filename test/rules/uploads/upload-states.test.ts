import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { UploadStatus } from '../../../src/database/tables.ts'
import { expireUploads, releaseDeadConfirms } from '../../../src/domains/uploads/jobs.ts'
import {
  isTerminal,
  nextStatuses,
  receivedStatus,
  statusAt,
  statusesBefore,
  type UploadRow,
  uploadStatuses,
} from '../../../src/domains/uploads/rules.ts'
import { attempt, createUpload, createWorkspace, type UploadHandle } from '../../support/client.ts'
import { tusOf } from '../../support/network/tus.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

describe('the statuses', () => {
  test('all follow from another but the first, and every path ends', () => {
    for (const status of uploadStatuses) {
      expect(statusesBefore(status).length > 0).toBe(status !== 'CREATED')
      expect(reached(status).some(isTerminal)).toBe(true)
    }
  })

  test('are determined by the number of bytes', () => {
    fc.assert(
      fc.property(fc.nat(), fc.option(fc.nat()), (offset, size) => {
        const status = receivedStatus(offset, size)
        expect(status === 'RECEIVED').toBe(offset === size)
        if (status !== 'RECEIVED') expect(status === 'CREATED').toBe(offset === 0)
      }),
    )
  })

  test('expire only while an upload waits', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...uploadStatuses),
        fc.nat(),
        fc.nat(),
        (status, expiresAt, now) => {
          const current = statusAt({ status, expiresAt, joinedInto: null } as UploadRow, now)
          const ended = statusesBefore('EXPIRED').includes(status) && now >= expiresAt
          expect(current).toBe(ended ? 'EXPIRED' : status)
        },
      ),
    )
  })
})

type Step =
  | { do: 'patch'; bytes: number; skew: number }
  | { do: 'declare'; more: number }
  | { do: 'confirm' | 'cancel' | 'terminate' | 'head' | 'jobs' }
  | { do: 'wait'; minutes: number }

const simple = fc.constantFrom('confirm', 'cancel', 'terminate', 'head', 'jobs')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('patch' as const),
      bytes: fc.nat(8),
      skew: fc.constantFrom(0, 0, 0, 0, -1, 1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('declare' as const), more: fc.nat(8) }) },
  { weight: 3, arbitrary: fc.constant({ do: 'confirm' as const }) },
  { weight: 3, arbitrary: simple.map((name) => ({ do: name }) as Step) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), minutes: fc.nat(70) }) },
)
// Steps of one group run concurrently.
const history = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), {
  minLength: 2,
  maxLength: 8,
})
const sizes = fc.array(fc.option(fc.nat(20)), { minLength: 1, maxLength: 3 })

test('keeps statuses valid, offsets monotonic and bytes accounted for after any sequence of operations', async () => {
  let now = Date.UTC(2030, 0, 1)
  await using holdall = await startTestServer({ now: () => now, env: { UPLOAD_TTL_HOURS: '1' } })
  const tus = tusOf(holdall)
  const { db, blobs } = holdall.app
  const ctx = { ...holdall.app, viewer: null, publicUrl: '' }

  async function take(step: Step, { id, url }: UploadHandle): Promise<number> {
    if (step.do === 'confirm' || step.do === 'cancel') {
      await attempt(holdall, `${step.do}Upload`, { uploadId: id }, 'upload { id }')
      return 200
    }
    if (step.do === 'jobs') await expireUploads(ctx).then(() => releaseDeadConfirms(ctx))
    if (step.do === 'wait') now += step.minutes * 60_000
    if (step.do === 'head') return (await tus.head(url)).status
    if (step.do === 'terminate') return (await tus.terminate(url)).status
    const offset = Number((await tus.head(url)).headers.get('upload-offset') ?? 0)
    if (step.do === 'patch')
      return (await tus.patch(url, Math.max(0, offset + step.skew), 'x'.repeat(step.bytes))).status
    if (step.do === 'declare')
      return (await tus.patch(url, offset, '', { 'Upload-Length': `${offset + step.more}` })).status
    return 200
  }

  async function check(workspaceId: string, seen: Map<string, UploadRow>) {
    const rows = await db
      .selectFrom('uploads')
      .selectAll()
      .where('workspaceId', '=', workspaceId)
      .execute()
    for (const row of rows) {
      const earlier = seen.get(row.id)
      if (earlier) {
        expect(reached(earlier.status)).toContain(row.status)
        expect(row.offset).toBeGreaterThanOrEqual(earlier.offset)
        expect(row.fence).toBeGreaterThanOrEqual(earlier.fence)
      }
      if (row.size !== null) expect(row.offset).toBeLessThanOrEqual(row.size)
      if (isTerminal(row.status)) expect(row.reservedBytes).toBe(0)
      expect(row.fileId !== null).toBe(row.status === 'COMPLETE')
      seen.set(row.id, row)
    }
    const workspace = await db
      .selectFrom('workspaces')
      .selectAll()
      .where('id', '=', workspaceId)
      .executeTakeFirstOrThrow()
    const versions = await db
      .selectFrom('versions')
      .selectAll()
      .where('workspaceId', '=', workspaceId)
      .execute()
    expect(workspace.reservedBytes).toBe(sum(rows.map((row) => row.reservedBytes)))
    expect(workspace.usedBytes).toBe(sum(versions.map(({ size }) => size)))
    expect(workspace.usedBytes + workspace.reservedBytes).toBeLessThanOrEqual(
      workspace.quotaBytes ?? 0,
    )
    expect(versions.length).toBe(rows.filter(({ status }) => status === 'COMPLETE').length)
    await checkBytes(rows)
  }

  async function checkBytes(rows: UploadRow[]) {
    const staged = new Map(
      (await Array.fromAsync(blobs.list('staged'))).map(({ key, size }) => [key, size]),
    )
    const kept = new Set((await Array.fromAsync(blobs.list('kept'))).map(({ key }) => key))
    for (const { id, status, offset } of rows) {
      if (isTerminal(status)) expect(staged.has(id)).toBe(false)
      else expect(kept.has(id) || (staged.get(id) ?? 0) >= offset).toBe(true)
    }
  }

  await fc.assert(
    fc.asyncProperty(sizes, history, async (sizes, history) => {
      const { id: workspaceId } = await createWorkspace(holdall, { quotaBytes: 70 })
      const uploads: UploadHandle[] = []
      for (const size of sizes)
        uploads.push(
          await createUpload(holdall, { workspaceId, name: 'a', size, onConflict: 'RENAME' }),
        )
      const seen = new Map<string, UploadRow>()
      for (const steps of history) {
        const statuses = await Promise.all(
          steps.map((step, i) => take(step, uploads[i % uploads.length] as UploadHandle)),
        )
        expect(
          statuses.filter((status) => ![200, 204, 400, 409, 410, 413, 423, 507].includes(status)),
        ).toEqual([])
        await check(workspaceId, seen)
      }
    }),
    { numRuns: 40 },
  )
}, 120_000)

/** The statuses that an upload can reach from a status, including itself. */
function reached(status: UploadStatus): UploadStatus[] {
  const found = new Set([status])
  for (const from of found) for (const to of nextStatuses[from]) found.add(to)
  return [...found]
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)
