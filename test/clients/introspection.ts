import { writeFile } from 'node:fs/promises'
import { getIntrospectionQuery } from 'graphql'
import type { TestServer } from '../support/servers/test-server.ts'

/** Writes the result of the introspection query of a server to a file, as { __schema }. */
export async function writeIntrospection(holdall: TestServer, path: string): Promise<void> {
  await writeFile(path, JSON.stringify(await holdall.ask(getIntrospectionQuery())))
}
