import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/project-root.ts'
import { type Toolchain, toolchain } from './toolchain.ts'
import { testTusClient } from './tus-rounds.ts'

const java = toolchain({
  needs: [
    ['javac', '-version'],
    ['mvn', '--version'],
  ],
  copies: { 'programs/java': '.' },
  steps: [['mvn', '-q', '-B', 'dependency:build-classpath', '-Dmdep.outputFile=classpath']],
})

const classpath = ({ dir }: Toolchain) => readFileSync(join(dir, 'classpath'), 'utf8').trim()

testTusClient('tus-java-client', java, (tools, args) =>
  tools.run('java', '-cp', classpath(tools), 'Upload.java', ...args),
)

const scalars = {
  ByteCount: 'java.lang.Long',
  DateTime: 'java.time.OffsetDateTime',
  JSONObject: 'java.util.Map',
  SyncCursor: 'java.lang.String',
  URL: 'java.lang.String',
}

test('DGS generates types and a client that compile', { timeout: 900_000 }, async (context) => {
  const tools = await java(context)
  const mappings = Object.entries(scalars).map(([from, to]) => `--type-mapping=${from}=${to}`)
  const options = ['-o', 'generated', '-p', 'holdall', '-c', '-w', '--generate-docs', ...mappings]
  const generator = 'com.netflix.graphql.dgs.codegen.CodeGenCliKt'
  const schema = join(root, 'schema.graphql')
  await tools.run('java', '-cp', classpath(tools), generator, ...options, schema)
  const compile = `javac -nowarn -d classes -cp '${classpath(tools)}' $(find generated -name '*.java')`
  await tools.run('sh', '-c', compile)
  expect((await tools.run('find', 'classes', '-name', 'Entry*.class')).length).toBeGreaterThan(0)
})
