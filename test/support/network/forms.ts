import type { TestServer } from '../servers/test-server.ts'

type Part = { name: string; bytes: string | Uint8Array; type?: string }
type Form = { file?: Part } & Record<string, string | Part | undefined>

/** Sends POST /files as a browser or curl -F does. Returns the status and the parsed JSON. */
export async function postForm(
  holdall: TestServer,
  { file, ...fields }: Form,
  { token, query = '' }: { token?: string | null; query?: string } = {},
): Promise<{ status: number; headers: Headers; body: any }> {
  const body = new FormData()
  for (const [name, value] of Object.entries(fields)) body.append(name, value as string)
  if (file)
    body.append('file', new Blob([file.bytes as BlobPart], { type: file.type ?? '' }), file.name)
  const response = await holdall.http(`/files${query}`, {
    method: 'POST',
    body,
    ...(token !== undefined && { token }),
  })
  return { status: response.status, headers: response.headers, body: await response.json() }
}
