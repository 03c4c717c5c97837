import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** An attack (S) or a fault (F), and how the tests know it; `waitsFor` names a feature that the product does not have. */
export type Row = { id: string; title: string; waitsFor?: string }

const attacks: [title: string, waitsFor?: string][] = [
  ['paths that lead out of the tree'],
  ['names that deceive, or that no system takes'],
  ['names that are one in Unicode'],
  ['names that differ in case alone'],
  ['files that run in a browser'],
  ['bytes of another type than they are said to be'],
  ['names and metadata that would be headers'],
  ['ids of other workspaces'],
  ['ids of another type, and ids made up'],
  ['uploads of other users'],
  ['rights that end during an upload'],
  ['whoever was removed and holds on'],
  ['guessing tokens and passwords'],
  ['many tries in one request'],
  ['documents that are bombs'],
  ['circles and lists of lists'],
  ['patterns that never end'],
  ['text that would be SQL'],
  ['table and column names that would be SQL'],
  ['addresses inside the network', 'webhooks'],
  ['webhooks that are forged or sent again', 'webhooks'],
  ['pages of other origins'],
  ['archives that burst or climb out'],
  ['pictures that burst', 'previews'],
  ['connections that dawdle'],
  ['quota held by uploads that never come'],
  ['lengths and offsets that lie'],
  ['signed links that were changed'],
  ['hosts that clients make up'],
  ['private bytes in caches'],
  ['learning from deduplication'],
  ['shares beyond their terms'],
  ['fields that are not the caller’s to set'],
  ['errors that tell too much'],
  ['secrets in logs, and lines forged'],
  ['keys that reach into prototypes'],
  ['streams without end'],
  ['dependencies that run code'],
  ['the administrator’s doors'],
  ['files hotlinked from elsewhere'],
]

const faults: typeof attacks = [
  ['kill -9 during an upload and its confirm'],
  ['kill -9 during everything else that changes the tree'],
  ['power loss'],
  ['a full disk'],
  ['a disk that fails, no more files, no rights'],
  ['an S3 that fails, lies or does not answer'],
  ['a database that is busy, broken or away'],
  ['clocks that jump'],
  ['networks that break, stall and repeat'],
  ['two servers over one store'],
  ['confirm against everything, fifty times'],
  ['fifty for the last room of a quota'],
  ['fifty for one name'],
  ['folders that move at the same moment'],
  ['bytes that have changed'],
  ['bytes without rows, rows without bytes'],
  ['locks whose holders died'],
  ['deleting what is being read'],
  ['large files, many files, many senders'],
  ['restarts and upgrades under load'],
  ['a backup taken under load'],
  ['receivers of webhooks that do not answer', 'webhooks'],
  ['archives that lie'],
]

const numbered = (letter: string, list: typeof attacks): Row[] =>
  list.map(([title, waitsFor], i) => ({
    id: `${letter}${i + 1}`,
    title,
    ...(waitsFor !== undefined && { waitsFor }),
  }))

/** All that is tried against the house, or waits for a feature. */
export const rows: Row[] = [...numbered('S', attacks), ...numbered('F', faults)]

/** What is waited for, and the words by which the product would speak of it if it were there. */
export const missingFeatures: Record<string, RegExp> = {
  webhooks: /webhook/i,
  previews: /preview|thumbnail/i,
}

/** The tests of each row, by the titles that begin with it: 'S5: …', 'F12, F13: …'. */
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

/** A describe counts as the tests that stand in it, up to the line that closes it. */
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
