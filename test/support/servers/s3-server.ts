import { createHash } from 'node:crypto'
import type { Env } from '../../../src/config/env.ts'
import { act, createWorkspace } from '../client.ts'
import { newS3Prefix } from '../s3.ts'
import { startTestServer, type TestServer } from './test-server.ts'

export const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

/** Starts a server that stores bytes in a bucket, with a workspace. */
export async function startOnS3(env: Env = {}) {
  const holdall = await startTestServer({ env: { ...newS3Prefix(), ...env } })
  const { id: workspaceId } = await createWorkspace(holdall)
  return { holdall, workspaceId, [Symbol.asyncDispose]: () => holdall[Symbol.asyncDispose]() }
}

export type SignedUpload = {
  id: string
  url: string
  headers: { name: string; value: string }[]
  parts: { number: number; offset: number; size: number; url: string }[] | null
}

/** Creates an upload with transport SIGNED_PUT. Returns it with its parts. */
export async function createSigned(
  holdall: TestServer,
  input: Record<string, unknown>,
  as: { token?: string } = {},
): Promise<SignedUpload> {
  const selection = 'upload { id url headers { name value } parts { number offset size url } }'
  const wanted = { name: 'a.bin', transport: 'SIGNED_PUT', ...input }
  return (await act(holdall, 'createUpload', wanted, selection, as)).upload
}

/** PUTs the whole body to the bucket, as a generic client does. */
export function putToBucket(
  { url, headers }: Pick<SignedUpload, 'url' | 'headers'>,
  body: Uint8Array,
) {
  const named = Object.fromEntries(headers.map(({ name, value }) => [name, value]))
  return fetch(url, { method: 'PUT', headers: named, body: body as BodyInit })
}

export async function uploadState(holdall: TestServer, id: string): Promise<any> {
  const fields = 'status offset file { id } failures { code retryable message }'
  const query = `query ($id: ID!) { node(id: $id) { ... on Upload { ${fields} } } }`
  return (await holdall.ask(query, { id })).node
}
