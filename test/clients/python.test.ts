import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createWorkspace, uploadFile } from '../support/client.ts'
import { startTestServer } from '../support/servers/test-server.ts'
import { writeIntrospection } from './introspection.ts'
import { toolchain } from './toolchain.ts'
import { testTusClient } from './tus-rounds.ts'

const python = toolchain({
  needs: [['python3', '--version']],
  copies: { 'programs/python': '.' },
  steps: [
    ['python3', '-m', 'venv', 'venv'],
    ['venv/bin/pip', 'install', '--quiet', 'tuspy==1.1.0', 'sgqlc==16.4'],
  ],
})

testTusClient('tuspy', python, ({ run }, args) =>
  run('venv/bin/python', 'tuspy_upload.py', ...args),
)

test('sgqlc generates types, and a query may omit arguments with defaults', {
  timeout: 900_000,
}, async (context) => {
  const { dir, run } = await python(context)
  await using holdall = await startTestServer()
  await writeIntrospection(holdall, join(dir, 'schema.json'))
  await run('venv/bin/sgqlc-codegen', 'schema', 'schema.json', 'holdall_schema.py')
  const { id: workspaceId } = await createWorkspace(holdall)
  const { id } = await uploadFile(holdall, { workspaceId, name: 'a.txt', bytes: 'a' })
  const output = await run(
    'venv/bin/python',
    'sgqlc_query.py',
    `${holdall.url}/graphql`,
    holdall.token,
    id,
  )
  expect(output).toMatch(/^a\.txt http.*\/download\//)
})
