import type { TestServer } from '../servers/test-server.ts'

/** Returns the keys of the staged or committed blobs, on disk or in the bucket. */
export async function keysOf({ app }: TestServer, where: 'staged' | 'kept'): Promise<string[]> {
  const blobs = await Array.fromAsync(app.blobs.list(where))
  return blobs.map(({ key }) => key).sort()
}
