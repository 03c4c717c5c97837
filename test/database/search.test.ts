import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { up } from '../../migrations/0002-search.ts'
import { readConfig } from '../../src/config/config.ts'
import { type Db, openDatabase } from '../../src/database/database.ts'
import { migrateToLatest } from '../../src/database/migrate.ts'
import {
  createSearchIndex,
  type Document,
  dropDocuments,
  type Expression,
  findDocuments,
  putDocuments,
  type TextField,
} from '../../src/database/search/search-index.ts'
import { database, newDatabase } from '../support/databases.ts'

/**
 * All of this holds for the index in SQLite and for the one in PostgreSQL: the same words find the same
 * documents in the same order.
 */

let db: Db
const open = new AsyncDisposableStack()

beforeAll(async () => {
  const dir = await mkdtemp(join(tmpdir(), 'search-'))
  open.defer(() => rm(dir, { recursive: true }))
  const { env } = open.use(await newDatabase())
  db = openDatabase(readConfig({ DATA_DIR: dir, ...env }).database)
  open.defer(() => db.destroy())
  await migrateToLatest(db)
})
afterAll(() => open.disposeAsync())
beforeEach(() => createSearchIndex(db))

const [lab, other] = ['ws_lab000000001', 'ws_lab000000002']
type Says = Partial<Record<TextField, string[]>> & { in?: string; keys?: string[] }

/** Texts are sequences of words separated by a space. */
function document(id: string, { in: workspaceId = lab, keys = [], ...texts }: Says): Document {
  const cut = Object.entries(texts).map(([field, said]) => [field, said.map((s) => s.split(' '))])
  return { id, workspaceId, keys, ...Object.fromEntries(cut) }
}

/** Parses a phrase in some fields; the last word is a prefix if it ends in *. */
function words(text: string, ...fields: TextField[]): Expression {
  const searched: TextField[] = fields.length > 0 ? fields : ['name']
  const plain = text.replace('*', '')
  return { fields: searched, words: plain.split(' '), prefix: plain !== text }
}
const all = (...all: Expression[]): Expression => ({ all })
const any = (...any: Expression[]): Expression => ({ any })
const keys = (...keys: string[]): Expression => ({ keys })
const but = (from: Expression, without: Expression): Expression => ({ from, without })

const find = async (
  expression: Expression,
  { in: workspaceId = lab, limit = 1000, below = 1e9 } = {},
) => (await findDocuments(db, workspaceId, expression, { limit, below })).map(({ id }) => id)

describe(`search in ${database}`, () => {
  const documents = [
    document('plate', {
      name: ['platescan 2025 csv', 'plate scan 2025 csv'],
      keys: ['file', 'k1'],
    }),
    document('scan', {
      name: ['scan plate', '2025'],
      description: ['a plate'],
      keys: ['file', 'k2'],
    }),
    document('tagged', {
      name: ['x'],
      tag: ['plate scan'],
      metadata: ['plate', '7'],
      keys: ['k1'],
    }),
    document('theirs', { in: other, name: ['plate scan'], keys: ['file2'] }),
    document('repeats', { name: ['la la land', 'lamp'], folder: ['la la land'], keys: ['folder'] }),
    document('scripts', { name: ['実 験 テ ー タ', 'отчет', '📊', 'ಕನ್ನಡ', 'ﬁ'] }),
    document('syntax', { name: ['and or not near', 'long', 'null', '1 2 3'] }),
    document('nothing', {}),
    document('wide', { name: [`${'𒀀'.repeat(64)} end`] }),
  ]
  beforeEach(() => putDocuments(db, documents))

  test.each<[string, Expression, string[]]>([
    ['a word', words('plate'), ['scan', 'plate']],
    ['a word in other fields', words('plate', 'metadata', 'tag'), ['tagged']],
    ['a word in any field', words('plate', 'name', 'tag'), ['tagged', 'scan', 'plate']],
    ['a word that is only the beginning of one', words('plat'), []],
    ['a beginning of one letter', words('p*'), ['scan', 'plate']],
    ['a beginning of three letters', words('pla*'), ['scan', 'plate']],
    ['a beginning of many', words('platesc*'), ['plate']],
    ['a beginning that is a whole word', words('x*'), ['tagged']],
    ['a phrase', words('plate scan'), ['plate']],
    ['a phrase across fields', words('x plate', 'name', 'tag', 'metadata'), []],
    ['a phrase across sequences', words('csv plate'), []],
    ['a phrase across sequences of one word', words('plate 7', 'metadata'), []],
    ['a phrase with a beginning', words('plate sc*'), ['plate']],
    ['a phrase with the beginning of what also stands alone', words('la l*'), ['repeats']],
    ['a word twice', words('la la'), ['repeats']],
    ['a word three times', words('la la la'), []],
    ['a phrase of four', words('plate scan 2025 csv'), ['plate']],
    ['characters that are words', words('実 験'), ['scripts']],
    ['characters in another order', words('験 実'), []],
    ['the beginning of a word with marks', words('ಕನ್*'), ['scripts']],
    ['a picture', words('📊'), ['scripts']],
    ['a ligature, not what it stands for', words('fi*'), []],
    ['words of a query language', words('and or not near'), ['syntax']],
    ['one of them', words('not'), ['syntax']],
    ['the name of nothing', words('null'), ['syntax']],
    ['digits', words('2 3'), ['syntax']],
    ['the longest word there is', words(`${'𒀀'.repeat(64)} end`), ['wide']],
    ['a key', keys('k1'), ['tagged', 'plate']],
    ['one of many keys', keys('k0', 'k2', 'folder'), ['repeats', 'scan']],
    ['the beginning of a key', keys('k', 'fil'), []],
    ['no key', keys(), []],
    ['a word that is a key', words('k1'), []],
    ['two things', all(words('plate'), words('2025')), ['scan', 'plate']],
    ['two things, one of them nowhere', all(words('plate'), words('nowhere')), []],
    ['two things, one of them nothing', all(words('plate'), any()), []],
    ['one of two things', any(words('x'), words('la')), ['repeats', 'tagged']],
    ['one of two things, one of them nothing', any(words('x'), keys()), ['tagged']],
    ['one of none', any(), []],
    ['all of none', all(), []],
    ['one thing but not another', but(words('plate'), words('csv')), ['scan']],
    ['one thing but not a phrase', but(words('plate'), words('plate scan')), ['scan']],
    ['one thing but not a beginning', but(words('plate'), words('cs*')), ['scan']],
    ['one thing but nothing', but(words('plate'), any()), ['scan', 'plate']],
    ['nothing but one thing', but(any(), words('plate')), []],
    ['one thing but not itself', but(words('plate'), words('plate')), []],
    [
      'all of it together',
      all(
        but(any(words('plate'), words('la l*')), all(keys('k2'), words('scan'))),
        keys('file', 'folder'),
      ),
      ['repeats', 'plate'],
    ],
  ])('%s', async (_, expression, ids) => {
    expect(await find(expression)).toEqual(ids)
  })

  test('finds only documents of the workspace', async () => {
    expect(await find(words('plate'), { in: other })).toEqual(['theirs'])
    expect(await find(words('csv'), { in: other })).toEqual([])
    expect(await find(words('plate'), { in: 'ws_nowhere' })).toEqual([])
  })

  test('keeps the position of a reindexed document, and adds a removed one as the newest', async () => {
    await putDocuments(db, [document('plate', { name: ['plate anew'] })])
    expect(await find(words('plate'))).toEqual(['scan', 'plate'])
    expect(await find(words('csv'))).toEqual([])
    expect(await find(keys('k1'))).toEqual(['tagged'])
    await dropDocuments(db, ['plate', 'never there'])
    expect(await find(words('plate'))).toEqual(['scan'])
    await dropDocuments(db, [])
    await putDocuments(db, [])
    await putDocuments(db, documents)
    expect(await find(words('plate'))).toEqual(['plate', 'scan'])
  })
})

/** Whether a document matches an expression: what both indexes must agree on. */
function isLike(found: Document, expression: Expression): boolean {
  const is = (inner: Expression) => isLike(found, inner)
  if ('keys' in expression) return expression.keys.some((key) => found.keys.includes(key))
  if ('all' in expression) return expression.all.length > 0 && expression.all.every(is)
  if ('any' in expression) return expression.any.some(is)
  if ('from' in expression) return is(expression.from) && !is(expression.without)
  const { fields, words, prefix } = expression
  const isHere = (said: readonly string[], at: number) =>
    words.every((word, i) =>
      prefix && i === words.length - 1 ? said[at + i]?.startsWith(word) : said[at + i] === word,
    )
  return fields.some((field) =>
    (found[field] ?? []).some((said) => said.some((_, at) => isHere(said, at))),
  )
}

const alphabet = ['a', 'ab', 'abc', 'b', 'ba', 'é', '語', '7']
const sequence = fc.array(fc.constantFrom(...alphabet), { minLength: 1, maxLength: 4 })
const said = fc.array(sequence, { maxLength: 3 })
const key = fc.constantFrom('k1', 'k2', 'k3')
/** Keys belong to a workspace, which the id determines. */
const documentOf = (ids: fc.Arbitrary<string>): fc.Arbitrary<Document> =>
  fc
    .record({ id: ids, keys: fc.uniqueArray(key), name: said, tag: said, description: said })
    .map((says) =>
      says.id.charCodeAt(0) % 3 > 0
        ? { ...says, workspaceId: lab }
        : { ...says, workspaceId: other, keys: says.keys.map((key) => `other${key}`) },
    )
const field = fc.constantFrom<TextField>('name', 'tag', 'description')
const { expression } = fc.letrec<{ expression: Expression }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    fc.record({
      fields: fc.uniqueArray(field, { minLength: 1 }),
      words: fc.array(fc.constantFrom(...alphabet), { minLength: 1, maxLength: 3 }),
      prefix: fc.boolean(),
    }),
    fc.record({ keys: fc.array(key, { maxLength: 2 }) }),
    fc.record({ all: fc.array(tie('expression'), { maxLength: 3 }) }),
    fc.record({ any: fc.array(tie('expression'), { maxLength: 3 }) }),
    fc.record({ from: tie('expression'), without: tie('expression') }),
  ),
}))

describe(`${database} agrees with the model`, () => {
  test('for few documents, in whatever order they were indexed', async () => {
    const changes = fc.array(documentOf(fc.constantFrom(...'abcdefgh')), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(changes, fc.array(expression, { minLength: 5 }), async (docs, queries) => {
        await dropDocuments(db, [...'abcdefgh'])
        const there = new Map<string, Document>()
        for (const doc of docs) {
          there.set(doc.id, doc)
          await putDocuments(db, [doc])
        }
        const newest = [...there.values()].reverse().filter((doc) => doc.workspaceId === lab)
        for (const query of queries) {
          const like = newest.filter((doc) => isLike(doc, query))
          expect(await find(query)).toEqual(like.map(({ id }) => id))
        }
      }),
      { numRuns: 60 },
    )
  })

  test('page by page for many documents, with common and rare words', async () => {
    const docs = fc.sample(documentOf(fc.uuid()), { seed: 7, numRuns: 6000 }).map((doc, i) => ({
      ...doc,
      // Words that are common in one part of them do not occur in another.
      metadata: [[`part${i >> 10}`, `batch${i >> 5}`, `number${i}`]],
    }))
    for (let at = 0; at < docs.length; at += 500) await putDocuments(db, docs.slice(at, at + 500))
    const newest = docs.reverse().filter((doc) => doc.workspaceId === lab)
    const part = fc.integer({ min: 0, max: 6 }).map((n) => words(`part${n}`, 'metadata'))
    const batch = fc.integer({ min: 0, max: 190 }).map((n) => words(`batch${n}*`, 'metadata'))
    const query = fc.oneof(
      expression,
      part,
      batch,
      fc.tuple(expression, fc.oneof(part, batch)).map((both) => all(...both)),
      fc.tuple(expression, part).map(([one, another]) => but(one, another)),
    )
    const limits = fc.constantFrom(1, 5, 21, 51, 257, 1000)
    await fc.assert(
      fc.asyncProperty(query, limits, async (query, limit) => {
        const like = newest.filter((doc) => isLike(doc, query)).map(({ id }) => id)
        const got: string[] = []
        for (let below: number | undefined = Number.MAX_SAFE_INTEGER; below !== undefined; ) {
          const page = await findDocuments(db, lab, query, { below, limit })
          got.push(...page.map(({ id }) => id))
          below = page.length === limit && got.length < 3 * limit ? page.at(-1)?.number : undefined
        }
        expect(got).toEqual(like.slice(0, got.length))
        expect(got.length).toBeGreaterThanOrEqual(Math.min(like.length, 3 * limit))
      }),
      { numRuns: 200 },
    )
  }, 60_000)
})

describe('a long document', () => {
  const many = Array.from({ length: 20_000 }, (_, i) => `w${i}`)
  const phrase = (first: number, length: number) => many.slice(first, first + length).join(' ')

  test('is found by each of its words and phrases, including the last ones', async () => {
    await putDocuments(db, [
      document('long', { metadata: [many.join(' '), 'w7 w3', 'zero'], keys: ['file'] }),
    ])
    const there = [phrase(0, 1), 'w19999', phrase(19_990, 10), phrase(15_990, 20), 'w19998 w1999*']
    for (const text of [...there, 'w7 w3', 'w7 w*', 'zer*'])
      expect([text, await find(words(text, 'metadata'))]).toEqual([text, ['long']])
    for (const text of ['w19999 w19998', 'w16000 w15999', 'w19998 w2*', 'w3 w7', 'zero w7'])
      expect([text, await find(words(text, 'metadata'))]).toEqual([text, []])
    const without = but(keys('file'), words('w19998 w19999', 'metadata'))
    expect(await find(without)).toEqual([])
  })

  test('is found by the word next to the last of a thousand repetitions', async () => {
    const pairs = Array.from({ length: 1000 }, (_, i) => `the w${i}`)
    await putDocuments(db, [
      document('one text', { description: [pairs.join(' ')] }),
      document('many texts', { description: pairs }),
    ])
    expect(await find(words('the w999', 'description'))).toEqual(['many texts', 'one text'])
    expect(await find(words('the w99*', 'description'))).toEqual(['many texts', 'one text'])
    expect(await find(words('w998 the', 'description'))).toEqual(['one text'])
    expect(await find(words('w998 the w999', 'description'))).toEqual(['one text'])
    expect(await find(words('the the', 'description'))).toEqual([])
  })

  test('is indexed whatever it contains, and found by its name', async () => {
    const wide = Array.from({ length: 20_000 }, (_, i) => `${'語'.repeat(60)}${i}`)
    const huge = Array.from({ length: 6 }, (_, i) =>
      document(`huge${i}`, { name: ['huge thing'], metadata: [wide.join(' ')], keys: ['file'] }),
    )
    await putDocuments(db, huge)
    expect(await find(words('huge thing'))).toHaveLength(6)
    expect(await find(all(keys('file'), words(`${'語'.repeat(60)}0`, 'metadata')))).toHaveLength(6)
  })

  test('is accepted as a query', async () => {
    const named = Array.from({ length: 256 }, (_, i) => `fld${`${i}`.padStart(32, '0')}`)
    const terms = Array.from({ length: 32 }, () =>
      any(words('a*', 'name', 'description', 'metadata'), keys(...named), keys(...named)),
    )
    await putDocuments(db, [document('it', { name: ['a'] }), document('not', { name: ['b'] })])
    expect(await find(but(all(...terms), all(...terms, words('b'))))).toEqual(['it'])
    expect(await find(words(phrase(0, 1000), 'name', 'metadata'))).toEqual([])
  })
})

test('rebuilds an index over more rows than one batch', async () => {
  const [id, rootId] = ['ws_all000000000', 'fld_root']
  const times = { createdAt: 1, updatedAt: 1 }
  await db
    .insertInto('workspaces')
    .values({
      ...{ id, rootId, name: 'All', slug: 'all', visibility: 'PRIVATE', createdAt: 1 },
      ...{ trashRetentionDays: 30, autoFile: 0, usedBytes: 0, reservedBytes: 0 },
      ...{ trashedBytes: 0, storedBytes: 0, lastSeq: 0 },
    })
    .execute()
  const row = (number: number | null) => ({
    ...times,
    ...{ workspaceId: id, metadata: '{}', revision: 1, size: 0 },
    ...(number === null
      ? { id: rootId, kind: 'folder' as const, name: '', nameKey: '', path: '', pathKey: '' }
      : {
          ...{ id: `file_${number}`, parentId: rootId, kind: 'file' as const },
          ...{ name: `sample ${number}.csv`, nameKey: `sample ${number}.csv` },
        }),
  })
  await db
    .insertInto('entries')
    .values(row(null) as never)
    .execute()
  const rows = Array.from({ length: 1200 }, (_, i) => row(i) as never)
  for (let at = 0; at < rows.length; at += 300)
    await db
      .insertInto('entries')
      .values(rows.slice(at, at + 300))
      .execute()
  await putDocuments(db, [document('gone', { in: id, name: ['sample'] })])
  await up(db)
  expect(await find(words('sample'), { in: id, limit: 5000 })).toHaveLength(1200)
  expect(await find(words('sample 777'), { in: id })).toEqual(['file_777'])
})
