import { randomInt } from 'node:crypto'
import { dirname } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { database } from '../../support/databases.ts'
import {
  checkAfterPowerLoss,
  powerLossMoments,
  type Recording,
  randomLuck,
  recordUploads,
} from '../../support/disk/power-loss.ts'
import { type Call, canTrace } from '../../support/disk/strace.ts'
import { answerTo } from '../../support/disk/traced.ts'
import { noLuck } from '../../support/disk/traced-disk.ts'

const isSync = ({ name }: Call) => /^f(data)?sync$/.test(name)
const isWrite = ({ name }: Call) => name.startsWith('pwrite')

// S3 and PostgreSQL guarantee the durability of what they store.
describe.skipIf(!canTrace || database !== 'SQLite')('F3: traced, skipped without strace', () => {
  let recording: Recording
  beforeAll(async () => {
    recording = await recordUploads({ first: 300_000, cut: 140_000 })
  }, 60_000)

  /** Returns the calls on a path between two lines of the trace. */
  const between = (from: number, to: number, path: RegExp) =>
    recording.calls.filter((call) => call.begun > from && call.ended < to && path.test(call.path))
  const answer = (id: string) => answerTo(recording.calls, id).begun
  /** Expects each to end before the next begins. */
  function expectOrder(...calls: (Call | undefined)[]) {
    expect(calls).not.toContain(undefined)
    for (const [i, call] of calls.entries())
      expect(call?.begun).toBeGreaterThan(calls[i - 1]?.ended ?? 0)
  }

  test('F3: an offset is reported once its bytes and then its row are synced', () => {
    const [first] = recording.sent
    const staged = new RegExp(`/staged/${first?.upload.id}$`)
    let from = answer(first?.created ?? '')
    for (const { by, offset } of first?.patched ?? []) {
      const to = answer(by)
      const bytes = between(from, to, staged)
      const written = bytes.findLast(isWrite)
      const ends = bytes.filter(isWrite).map(({ args, result }) => offsetOf(args) + result)
      expect(Math.max(...ends)).toBe(offset)
      const synced = bytes.findLast(isSync)
      // The row is claimed before the first byte.
      const rows = between(written?.begun ?? 0, to, /\.db-wal$/)
      expectOrder(
        written,
        synced,
        rows.find(isWrite),
        rows.findLast(isWrite),
        rows.findLast(isSync),
      )
      expect(rows.at(-1)).toBe(rows.findLast(isSync))
      from = to
    }
  })

  test('F3: a confirm responds once bytes, name, folders and rows are synced, in this order', () => {
    const [first] = recording.sent
    const { id = '' } = first?.upload ?? {}
    const to = answer(first?.confirmed?.by ?? '')
    const renamed = recording.calls.find(
      ({ name, strings }) => name === 'rename' && `${strings[0]}`.endsWith(id),
    )
    const [staged = '', kept = ''] = renamed?.strings.map(String) ?? []
    const syncOf = (path: string, since: number) =>
      between(since, to, /^/).find((call) => isSync(call) && call.path === path)
    const written = recording.calls.findLast((call) => isWrite(call) && call.path === staged)
    const since = renamed?.ended ?? to
    const rows = between(since, to, /\.db-wal$/)
    const named = rows.find(
      (call) =>
        isWrite(call) && call.strings.some((page) => page.includes(first?.confirmed?.fileId ?? id)),
    )
    expectOrder(
      written,
      syncOf(staged, written?.ended ?? to),
      renamed,
      syncOf(dirname(kept), since),
      syncOf(dirname(staged), since),
      named,
      rows.findLast(isSync),
    )
    expect(rows.at(-1)).toBe(rows.findLast(isSync))
    for (const made of recording.calls.filter(
      ({ name, ended }) => name === 'mkdir' && ended < since,
    )) {
      const path = `${made.strings[0]}`
      expect(isSyncedBefore(dirname(path), made.ended, since), path).toBe(true)
    }
  })

  const isSyncedBefore = (path: string, from: number, to: number) =>
    between(from, to, /^/).some((call) => isSync(call) && call.path === path)

  test('F3: after a loss of power right after each response, everything it promised exists', async () => {
    const { calls, sent } = recording
    const ids = sent.flatMap(({ created, patched, confirmed }) => [
      created,
      ...patched.map(({ by }) => by),
      confirmed?.by ?? created,
    ])
    for (const id of new Set(ids)) await checkAfterPowerLoss(recording, answerTo(calls, id).begun)
  })

  test('F3: after a loss of power at any moment, with some unsynced changes kept', async () => {
    const seed = randomInt(2 ** 31)
    const moments = powerLossMoments(recording)
    for (let i = 0; i < 12; i++) {
      const moment = moments[(seed + Math.floor((i * moments.length) / 12)) % moments.length] ?? 0
      await checkAfterPowerLoss(recording, moment, i % 2 ? noLuck : randomLuck(seed + i)).catch(
        (cause) => {
          throw new Error(`seed ${seed}, line ${moment}: ${cause.message}`, { cause })
        },
      )
    }
  })

  test.each([
    ['the bytes', isSync, /\/staged\/upl_/],
    ['the folder of the bytes', isSync, /\/kept\/..\/..$/],
    ['the rows', isSync, /\.db-wal$/],
    ['the first folder', isSync, /\/disk$/],
  ])('F3: this test would fail if %s were not synced', async (_, is, path) => {
    const calls = recording.calls.filter((call) => !(is(call) && path.test(call.path)))
    const [first] = recording.sent
    const moment = answer(first?.confirmed?.by ?? '')
    await expect(checkAfterPowerLoss({ ...recording, calls }, moment)).rejects.toThrow()
  })
})

const offsetOf = (args: string) => Number(/(\d+)$/.exec(args)?.[1])
