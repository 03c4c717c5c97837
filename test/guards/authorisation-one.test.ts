import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CompiledQuery } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestServer, type TestServer } from '../support/test-server.ts'
import { mutationRules } from './authorisation-contract.ts'
import { mutations } from './mutation-cases.ts'
import { statementsOf } from './plan-steps.ts'
import { furnish, type Place } from './tenant-fixture.ts'

const root = join(import.meta.dirname, '../..')
const sources = globSync('src/**/*.ts', { cwd: root })
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const thatSay = (words: RegExp) => sources.filter((file) => words.test(read(file))).sort()

describe('S8: one function decides', () => {
  test('what somebody is in a workspace is looked up there, and where members are kept', () => {
    expect(thatSay(/(?:from|join|From|Join)\('members\b|"members"/)).toEqual([
      'src/domains/members/reads.ts',
      'src/domains/members/writes.ts',
      'src/domains/workspaces/reads.ts',
    ])
  })

  test('and compared there, and for tokens, which may be in no workspace', () => {
    expect(thatSay(/\bhasRole\(|\bviewerRole\b(?!:)/)).toEqual([
      // What is in the trash is for members.
      'src/domains/changes/log.ts',
      'src/domains/entries/reads.ts',
      'src/domains/tokens/reads.ts',
      'src/domains/workspaces/reads.ts',
    ])
  })

  test('what a token may is asked there, and where no workspace is meant (yet)', () => {
    expect(thatSay(/scopes\.has\(/)).toEqual([
      // Colleagues of all one's workspaces.
      'src/domains/members/reads.ts',
      // The log of the server.
      'src/domains/server-activity/reads.ts',
      'src/domains/tokens/reads.ts',
      'src/domains/tokens/writes.ts',
      // A form that has not named its workspace: it is asked again when it has.
      'src/domains/uploads/form/forms.ts',
      'src/domains/workspaces/reads.ts',
      // createWorkspace.
      'src/domains/workspaces/writes.ts',
      // A link for who may read, in the answer to who wrote.
      // The scope of every field, whatever led to its row.
      'src/graphql/field-policy.ts',
      'src/http/upload/file-json.ts',
    ])
  })
})

/** A workspace with what the viewer is in it, in one statement: requireAccess asks so and nothing else does. */
const isAccess = ({ sql }: CompiledQuery) =>
  /from "workspaces" as "w" left join "members"/.test(sql)
const isWrite = ({ sql }: CompiledQuery) =>
  /^(insert|update|delete)/i.test(sql) && !/"lastUsedAt" =/.test(sql)
/** These are about no workspace, or about a token that may be in none. */
const askOtherwise = ['createWorkspace', 'revokeApiToken', 'revokeAllApiTokens']

describe('S8: before it changes anything, it is asked by', () => {
  let holdall: TestServer
  let place: Place
  beforeAll(async () => {
    holdall = await startTestServer({ env: { SCRUB_DAYS: '0' } })
    await holdall.app.jobs.stop()
    place = await furnish(holdall, 'own')
  })
  afterAll(() => holdall?.[Symbol.asyncDispose]())

  test.each(Object.keys(mutationRules))('%s', async (name) => {
    const input = mutations[name]?.inputs(place)[0]
    const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input!`
    const query = `mutation ($input: ${type}) { answer: ${name}(input: $input) { __typename } }`
    const statements = await statementsOf(holdall.app.db, () => holdall.ask(query, { input }))
    const [asked, changed] = [statements.findIndex(isAccess), statements.findIndex(isWrite)]
    if (askOtherwise.includes(name)) return expect(asked).toBe(-1)
    const told = statements.map(({ sql }) => sql).join('\n')
    expect(asked, told).toBeGreaterThan(-1)
    expect(changed === -1 || asked < changed, told).toBe(true)
  })
})
