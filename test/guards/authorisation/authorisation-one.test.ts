import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CompiledQuery } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from '../../support/project-root.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'
import { statementsOf } from '../schema/plan-steps.ts'
import { mutationRules } from './authorisation-contract.ts'
import { mutations } from './mutation-cases.ts'
import { createTenant, type Place } from './tenant-fixture.ts'

const sources = globSync('src/**/*.ts', { cwd: root })
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const filesMatching = (words: RegExp) => sources.filter((file) => words.test(read(file))).sort()

describe('S8: one function decides about access', () => {
  test('only workspaces/reads.ts and the members domain look up roles', () => {
    expect(filesMatching(/(?:from|join|From|Join)\('members\b|"members"/)).toEqual([
      'src/domains/members/reads.ts',
      'src/domains/members/writes.ts',
      'src/domains/workspaces/reads.ts',
    ])
  })

  test('only workspaces/reads.ts compares roles, except for the trash and for unbound tokens', () => {
    expect(filesMatching(/\bhasRole\(|\bviewerRole\b(?!:)/)).toEqual([
      // Only members see the trash.
      'src/domains/changes/log.ts',
      'src/domains/entries/reads.ts',
      'src/domains/tokens/reads.ts',
      'src/domains/workspaces/reads.ts',
    ])
  })

  test('only workspaces/reads.ts checks scopes, except where no workspace is involved (yet)', () => {
    expect(filesMatching(/scopes\.has\(/)).toEqual([
      // Users who share a workspace with the viewer.
      'src/domains/members/reads.ts',
      // The log of the server.
      'src/domains/server-activity/reads.ts',
      'src/domains/tokens/reads.ts',
      'src/domains/tokens/writes.ts',
      // A form whose workspace is not known yet; access is checked again once it is.
      'src/domains/uploads/form/forms.ts',
      'src/domains/workspaces/reads.ts',
      // createWorkspace.
      'src/domains/workspaces/writes.ts',
      // The download link in the response to an upload, for viewers who may read, and the scope of every
      // field.
      'src/graphql/field-policy.ts',
      'src/http/upload/file-json.ts',
    ])
  })
})

/** Loads a workspace with the viewer's role in one statement; only requireAccess does that. */
const isAccess = ({ sql }: CompiledQuery) =>
  /from "workspaces" as "w" left join "members"/.test(sql)
const isWrite = ({ sql }: CompiledQuery) =>
  /^(insert|update|delete)/i.test(sql) && !/"lastUsedAt" =/.test(sql)
/** Mutations that concern no workspace, or a token that may be bound to none. */
const otherChecks = ['createWorkspace', 'revokeApiToken', 'revokeAllApiTokens']

describe('S8: the access check runs before anything is changed by', () => {
  let holdall: TestServer
  let place: Place
  beforeAll(async () => {
    holdall = await startTestServer({ env: { SCRUB_DAYS: '0' } })
    await holdall.app.jobs.stop()
    place = await createTenant(holdall, 'own')
  })
  afterAll(() => holdall?.[Symbol.asyncDispose]())

  test.each(Object.keys(mutationRules))('%s', async (name) => {
    const input = mutations[name]?.inputs(place)[0]
    const type = `${name[0]?.toUpperCase()}${name.slice(1)}Input!`
    const query = `mutation ($input: ${type}) { answer: ${name}(input: $input) { __typename } }`
    const statements = await statementsOf(holdall.app.db, () => holdall.ask(query, { input }))
    const [accessAt, writeAt] = [statements.findIndex(isAccess), statements.findIndex(isWrite)]
    if (otherChecks.includes(name)) return expect(accessAt).toBe(-1)
    const log = statements.map(({ sql }) => sql).join('\n')
    expect(accessAt, log).toBeGreaterThan(-1)
    expect(writeAt === -1 || accessAt < writeAt, log).toBe(true)
  })
})
