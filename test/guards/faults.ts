import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * An attack (S) or a fault (F); test titles begin with its id. `waitsFor` names a feature that the
 * product does not have.
 */
export type Row = { id: string; title: string; waitsFor?: string }

const attacks: [title: string, waitsFor?: string][] = [
  ['paths that escape from the tree'],
  ['deceptive names, and names that systems reject'],
  ['names that are equal in Unicode'],
  ['names that differ only in case'],
  ['files that run in a browser'],
  ['bytes of another type than declared'],
  ['header injection by names and metadata'],
  ['ids of other workspaces'],
  ['ids of another type, and forged ids'],
  ['uploads of other users'],
  ['permissions revoked during an upload'],
  ['removed users who keep tokens and links'],
  ['guessing tokens and passwords'],
  ['many attempts in one request'],
  ['query bombs'],
  ['cycles and nested lists'],
  ['patterns with exponential time'],
  ['SQL injection by text'],
  ['SQL injection by table and column names'],
  ['addresses inside the network', 'webhooks'],
  ['forged and replayed webhooks', 'webhooks'],
  ['pages of other origins'],
  ['archive bombs, and archives with paths outside'],
  ['picture bombs', 'previews'],
  ['slow connections'],
  ['quota reserved by abandoned uploads'],
  ['false lengths and offsets'],
  ['altered signed links'],
  ['forged hosts'],
  ['private bytes in caches'],
  ['information from deduplication'],
  ['shares beyond their terms'],
  ['fields that only the server sets'],
  ['errors with internal details'],
  ['secrets in logs, and forged log lines'],
  ['keys that reach into prototypes'],
  ['streams without end'],
  ['dependencies that run code'],
  ['administrative endpoints'],
  ['files hotlinked from elsewhere'],
]

const faults: typeof attacks = [
  ['kill -9 during an upload and its confirm'],
  ['kill -9 during everything else that changes the tree'],
  ['power loss'],
  ['a full disk'],
  ['a failing disk, no file descriptors, no permissions'],
  ['an S3 that fails, lies or does not respond'],
  ['a busy, broken or unreachable database'],
  ['clocks that jump'],
  ['networks that break, stall and repeat'],
  ['two servers over one store'],
  ['fifty concurrent confirms'],
  ['fifty requests for the rest of a quota'],
  ['fifty requests for one name'],
  ['concurrent moves of folders'],
  ['corrupted bytes'],
  ['bytes without rows, rows without bytes'],
  ['locks of dead processes'],
  ['deletion during a read'],
  ['large files, many files, many senders'],
  ['restarts and upgrades under load'],
  ['a backup under load'],
  ['unresponsive receivers of webhooks', 'webhooks'],
  ['archives with false records'],
]

const withIds = (letter: string, list: typeof attacks): Row[] =>
  list.map(([title, waitsFor], i) => ({
    id: `${letter}${i + 1}`,
    title,
    ...(waitsFor !== undefined && { waitsFor }),
  }))

/** All attacks and faults, including those that wait for a feature. */
export const rows: Row[] = [...withIds('S', attacks), ...withIds('F', faults)]

/** The missing features, with the words that the product would use for them. */
export const missingFeatures: Record<string, RegExp> = {
  webhooks: /webhook/i,
  previews: /preview|thumbnail/i,
}

/** Counts the tests of each row by the ids at the beginning of titles: 'S5: …', 'F12, F13: …'. */
export function testsByRow(): Map<string, number> {
  const tests = new Map<string, number>()
  for (const file of globSync('**/*.test.ts', { cwd: testFolder })) {
    const text = readFileSync(join(testFolder, file), 'utf8')
    for (const { ids, count } of titlesIn(text))
      for (const id of ids) tests.set(id, (tests.get(id) ?? 0) + count)
  }
  return tests
}

const testFolder = join(import.meta.dirname, '..')
const TITLE = /^( *)(?:(test|describe)\b.*|.*\))\(\s*['"`]((?:[SF]\d+, )*[SF]\d+): /gm

/** A describe counts as the tests in it, up to the line that closes it. */
function* titlesIn(text: string) {
  for (const {
    0: { length },
    1: indent = '',
    2: word,
    3: ids = '',
    index,
  } of text.matchAll(TITLE)) {
    const end = text.indexOf(`\n${indent}})`, index + length)
    const inside = text.slice(index, end).match(/^ +test\b/gm)?.length ?? 0
    yield { ids: ids.split(', '), count: word === 'describe' ? inside : 1 }
  }
}
