import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { printedSchema } from '../../src/schema.ts'
import { createFolder, createWorkspace, uploadFile } from '../support/client.ts'
import { root } from '../support/project-root.ts'
import { startTestServer } from '../support/servers/test-server.ts'
import { writeIntrospection } from './introspection.ts'
import { type Toolchain, toolchain } from './toolchain.ts'

const timeout = 900_000
const read = (path: string) => readFileSync(path, 'utf8')
const relayDocument = read(join(import.meta.dirname, 'documents/relay/Relay.graphql'))

const npm = toolchain({
  needs: [['npm', '--version']],
  copies: { 'programs/npm': '.', documents: 'documents' },
  files: {
    'schema.graphql': printedSchema,
    'possibleTypes.json': read(join(root, 'possibleTypes.json')),
    'keylessTypes.json': read(join(root, 'keylessTypes.json')),
    'relay/Relay.ts': `graphql\`\n${relayDocument}\``.replace(/^/, 'declare const graphql: any\n'),
  },
  steps: [['npm', 'install', '--no-audit', '--no-fund', '--loglevel=error']],
})

test('graphql-codegen generates types for documents, which compile', {
  timeout,
}, async (context) => {
  const { run } = await npm(context)
  await run('npx', 'graphql-codegen', '--config', 'codegen.json')
  const strict = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext']
  await run('npx', 'tsc', ...strict, 'generated/client/graphql.ts', 'generated/types.ts')
})

test('the Relay compiler accepts pages, refetches and updates of lists', {
  timeout,
}, async (context) => {
  const { dir, run } = await npm(context)
  await mkdir(join(dir, 'relay/__generated__'))
  expect(await run('npx', 'relay-compiler')).toMatch(
    /compiled documents: \d+ reader, \d+ normalization/,
  )
})

/** Starts a server with a folder `box` that has a file and a folder, and runs a program on it. */
async function runOnBox({ dir, run }: Toolchain, program: string) {
  await using holdall = await startTestServer()
  await writeIntrospection(holdall, join(dir, 'introspection.json'))
  const { id: workspaceId } = await createWorkspace(holdall)
  const box = await createFolder(holdall, { workspaceId, name: 'box' })
  await createFolder(holdall, { folder: { id: box.id }, name: 'inner' })
  await uploadFile(holdall, { workspaceId, folderId: box.id, name: 'a.txt', bytes: 'a' })
  const output = await run('node', program, `${holdall.url}/graphql`, holdall.token, box.id)
  return JSON.parse(output.trim().split('\n').at(-1) ?? '')
}

test('Apollo Client caches entries by id with possibleTypes.json', { timeout }, async (context) => {
  const result = await runOnBox(await npm(context), 'apollo.mjs')
  expect(result).toEqual({ name: 'renamed', names: ['inner', 'a.txt'], errors: [] })
})

test('graphcache caches entries by id without a warning', { timeout }, async (context) => {
  const result = await runOnBox(await npm(context), 'urql.mjs')
  expect(result).toEqual({ name: 'renamed', names: ['inner', 'a.txt'], warnings: [] })
})
