import { expect, test } from 'vitest'
import { printedSchema } from '../../src/schema.ts'
import { createWorkspace, uploadFile } from '../support/client.ts'
import { startTestServer } from '../support/servers/test-server.ts'
import { toolchain } from './toolchain.ts'
import { testTusClient } from './tus-rounds.ts'

/** genqlient does not support an interface that implements another. */
const schemaForGenqlient = printedSchema.replace(
  'interface Entry implements Node',
  'interface Entry',
)

const go = toolchain({
  needs: [['go', 'version']],
  copies: { 'programs/go': '.', documents: 'documents' },
  files: { 'genqlient.graphql': schemaForGenqlient },
  steps: [
    ['go', 'mod', 'tidy'],
    ['go', 'build', '-o', 'bin/', './gotus', './tusgo', 'github.com/Khan/genqlient'],
  ],
})

testTusClient('go-tus', go, ({ run }, args) => run('./bin/gotus', ...args))

// tusgo refuses to create an upload of 0 bytes.
testTusClient('tusgo', go, ({ run }, args) => run('./bin/tusgo', ...args), {
  isEmptySupported: false,
})

test('genqlient generates functions that compile and run', {
  timeout: 900_000,
}, async (context) => {
  const { run } = await go(context)
  await run('./bin/genqlient')
  await using holdall = await startTestServer()
  const { id: workspaceId } = await createWorkspace(holdall)
  for (const name of ['report a.txt', 'report b.txt'])
    await uploadFile(holdall, { workspaceId, name, bytes: name })
  const endpoint = `${holdall.url}/graphql`
  const output = await run('go', 'run', './query', endpoint, holdall.token, workspaceId)
  expect(output.trim().split('\n').sort()).toEqual(['report a.txt', 'report b.txt'])
})
