import { beforeAll, describe, expect, test } from 'vitest'
import {
  act,
  attempt,
  createFolder,
  createWorkspace,
  lookUp,
  uploadFile,
} from '../../support/client.ts'
import { expectRefused } from '../../support/data/refusals.ts'
import { postForm } from '../../support/network/forms.ts'
import { metadata, tusOf } from '../../support/network/tus.ts'
import { expectWithin } from '../../support/retry-timing.ts'
import { startTestServer, type TestServer } from '../../support/servers/test-server.ts'

let holdall: TestServer
let workspaceId: string
let file: { id: string }
beforeAll(async () => {
  holdall = await startTestServer()
  workspaceId = (await createWorkspace(holdall)).id
  file = await uploadFile(holdall, {
    workspaceId,
    name: 'a.txt',
    bytes: 'x',
    metadata: { kept: 1 },
  })
  return () => holdall[Symbol.asyncDispose]()
})

/** JSON keys: an object literal has no own __proto__. */
const withOwnKey = (key: string) => JSON.parse(`{"${key}":{"polluted":true}}`)
const keys = ['__proto__', 'constructor', 'prototype']
const clean = () => {
  const { polluted } = {} as Record<string, unknown>
  expect([polluted, Object.keys(Object.prototype), typeof {}.constructor]).toEqual([
    undefined,
    [],
    'function',
  ])
}

const json = { 'content-type': 'application/json' }
/**
 * Variables as JSON text: JSON.stringify keeps an own __proto__, and nothing in between may lose it.
 */
async function send(query: string, variables: string) {
  const headers = { ...json, accept: 'application/graphql-response+json' }
  const body = `{"query":${JSON.stringify(query)},"variables":${variables}}`
  const response = await holdall.http('/graphql', { method: 'POST', headers, body })
  return { status: response.status, ...((await response.json()) as { data?: any; errors?: any[] }) }
}

describe('S36: keys that reach for a prototype', () => {
  test.each(keys)('%s is rejected as a key of metadata by every operation', async (key) => {
    const values = JSON.stringify(withOwnKey(key))
    const ways: [string, string][] = [
      [
        'mutation ($m: JSONObject, $id: ID!) { r: updateEntry(input: { entry: { id: $id }, metadata: $m }) { __typename } }',
        `{"id":"${file.id}","m":${values}}`,
      ],
      [
        'mutation ($m: JSONObject, $id: ID!) { r: updateEntry(input: { entry: { id: $id }, metadata: $m }) { __typename } }',
        `{"id":"${file.id}","m":{"deep":[{"er":${values}}]}}`,
      ],
      [
        'mutation ($m: JSONObject, $id: ID!) { r: createUpload(input: { workspaceId: $id, name: "x", metadata: $m }) { __typename } }',
        `{"id":"${workspaceId}","m":${values}}`,
      ],
      [
        'mutation ($m: JSONObject, $id: ID!) { r: createFolder(input: { workspaceId: $id, name: "x", metadata: $m }) { __typename } }',
        `{"id":"${workspaceId}","m":${values}}`,
      ],
      [
        `mutation { r: updateEntry(input: { entry: { id: "${file.id}" }, metadata: { ${key}: { polluted: true } } }) { __typename } }`,
        '{}',
      ],
    ]
    for (const [query, variables] of ways) {
      const { status, errors } = await send(query, variables)
      expect([status, errors?.[0]?.message]).toEqual([400, expect.stringContaining(key)])
      clean()
    }
    expect(await lookUp(holdall, file, 'metadata revision')).toMatchObject({
      metadata: { kept: 1 },
      revision: 1,
    })
  })

  test.each([...keys, 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'])(
    '%s in variables, inputs and operation names has no effect',
    async (key) => {
      for (const variables of [
        `{"${key}":{"polluted":true}}`,
        `{"input":{"${key}":1,"name":"x"}}`,
      ]) {
        const { status } = await send(
          'mutation ($input: CreateWorkspaceInput!) { createWorkspace(input: $input) { __typename } }',
          variables,
        )
        expect(status).toBeLessThan(500)
      }
      const headers = json
      const bodies = [
        `{"${key}":{"query":"{__typename}"}}`,
        `{"query":"{__typename}","operationName":"${key}"}`,
        `{"query":"{__typename}","extensions":{"${key}":{"polluted":true}}}`,
      ]
      for (const body of bodies) {
        const response = await holdall.http('/graphql', { method: 'POST', headers, body })
        expect(response.status).toBeLessThan(500)
      }
      clean()
    },
  )

  test.each([...keys, 'toString', 'hasOwnProperty'])(
    '%s is an ordinary tag, name, path and slug',
    async (key) => {
      const folder = await createFolder(holdall, { workspaceId, name: key, tags: [key] })
      expect(await lookUp(holdall, folder, 'name path tags { name }')).toMatchObject({
        name: key,
        path: key,
        tags: [{ name: key }],
      })
      const found = await holdall.ask(
        'query ($id: ID!, $f: EntryFilter) { workspace(by: { id: $id }) { entries(filter: $f) { nodes { name } } search(query: "plain") { totalCount } entryByPath(path: "x") { id } } }',
        { id: workspaceId, f: { tags: { allOf: [key] } } },
      )
      expect(found.workspace.entries.nodes).toEqual([{ name: key }])
      const declared = metadata({ workspaceId, filename: `of ${key}`, [key]: 'polluted' })
      expect(
        (await tusOf(holdall).post({ 'Upload-Length': '1', 'Upload-Metadata': declared })).status,
      ).toBe(201)
      const form = await postForm(holdall, {
        workspaceId,
        ...withOwnKey(key),
        [key]: 'polluted',
        file: { name: `by ${key}`, bytes: 'x' },
      })
      expect(form.status).toBe(201)
      clean()
    },
  )

  test.each(keys)('%s names no table, column or cell', async (key) => {
    const name = `t_${key}`
    const columns = [
      { name: 'image', type: 'FILE_PATH' },
      { name: 'more', type: 'JSON' },
      { name: key, type: 'TEXT' },
    ]
    const made = await attempt(
      holdall,
      'createTable',
      { workspaceId, name, columns },
      'table { columns { name } }',
    )
    expect(made.code ?? made.table.columns.map((column: { name: string }) => column.name)).toEqual(
      made.code ? 'INVALID_INPUT' : ['image', 'more', key],
    )
    if (made.code)
      await act(
        holdall,
        'createTable',
        { workspaceId, name, columns: columns.slice(0, 2) },
        '__typename',
      )
    const link =
      'mutation ($l: RowLinkInput!, $id: ID!) { linkRow(input: { fileId: $id, link: $l }) { __typename ... on UserError { code } } }'.replace(
        'RowLinkInput',
        'RowLink',
      )
    for (const values of [
      JSON.stringify(withOwnKey(key)),
      `{"more":${JSON.stringify(withOwnKey(key))}}`,
    ]) {
      const { status, data } = await send(
        link,
        `{"id":"${file.id}","l":{"table":"${name}","column":"image","values":${values}}}`,
      )
      expect([status, data?.linkRow?.code ?? 'INVALID_INPUT']).toEqual([400, 'INVALID_INPUT'])
      expect(data?.linkRow?.__typename ?? 'refused').not.toBe('LinkRowPayload')
    }
    await act(
      holdall,
      'linkRow',
      { fileId: file.id, link: { table: name, column: 'image', values: { more: { a: 1 } } } },
      '__typename',
    )
    const rows = `query ($id: ID!, $n: String!) { workspace(by: { id: $id }) { table(name: $n) { rows { nodes { values } } } } }`
    const { workspace } = await holdall.ask(rows, { id: workspaceId, n: name })
    expect(workspace.table.rows.nodes).toHaveLength(1)
    expect(workspace.table.rows.nodes[0].values).toMatchObject({ image: 'a.txt', more: { a: 1 } })
    const where = await send(
      'query ($id: ID!, $w: JSONObject) { workspace(by: { id: $id }) { table(name: "plain") { rows(where: $w) { totalCount } } } }',
      `{"id":"${workspaceId}","w":${JSON.stringify(withOwnKey(key))}}`,
    )
    expect(where.status).toBe(400)
    clean()
  })
})

describe('S36: metadata has 64 KiB at most', () => {
  test('in total, however it is divided', async () => {
    const { id } = await createFolder(holdall, { workspaceId, name: 'large' })
    const part = (key: string) => ({ entry: { id }, metadata: { [key]: 'x'.repeat(30_000) } })
    await act(holdall, 'updateEntry', part('one'), '__typename')
    await act(holdall, 'updateEntry', part('two'), '__typename')
    expect(await expectRefused(holdall, 'updateEntry', part('three'))).toMatchObject({
      code: 'INVALID_INPUT',
    })
    const much = { metadata: { a: 'ä'.repeat(33_000) } }
    for (const [query, name] of [
      ['createFolder', 'f'],
      ['createUpload', 'u'],
    ] as const) {
      const input = { workspaceId, name, ...much }
      const type = `${query[0]?.toUpperCase()}${query.slice(1)}Input`
      const document = `mutation ($input: ${type}!) { ${query}(input: $input) { __typename } }`
      expect((await send(document, JSON.stringify({ input }))).status).toBe(400)
    }
  })

  test.each([
    ['33 deep', `${'{"a":'.repeat(33)}1${'}'.repeat(33)}`],
    ['100,000 deep', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    ['100,000 lists deep', `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    [
      '100,000 keys',
      JSON.stringify(Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`k${i}`, 1]))),
    ],
    ['numbers out of range', '{"a":1e999}'],
  ])('and never %s', async (_, values) => {
    const query =
      'mutation ($m: JSONObject) { createFolder(input: { workspaceId: "x", name: "x", metadata: $m }) { __typename } }'
    const { status } = await expectWithin(holdall, () => send(query, `{"m":${values}}`))
    expect(status).toBe(400)
  })
})
