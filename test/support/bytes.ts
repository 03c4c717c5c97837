import type { TestServer } from './test-server.ts'

/** The keys of the bytes that are staged or kept, wherever the house keeps them. */
export async function keysOf({ app }: TestServer, where: 'staged' | 'kept'): Promise<string[]> {
  const blobs = await Array.fromAsync(app.blobs.list(where))
  return blobs.map(({ key }) => key).sort()
}
