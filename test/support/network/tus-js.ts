import { Upload } from 'tus-js-client'
import type { TestServer } from '../servers/test-server.ts'

/** What tus-js-client made of an upload: its error, its URL, and "METHOD status" of each request. */
export type TusJsResult = { error: string | null; url: string; requests: string[] }

/** Uploads bytes with tus-js-client as an application does, with retries. `url` resumes an earlier upload. */
export async function uploadWithTusJs(
  holdall: TestServer,
  bytes: Buffer,
  metadata: Record<string, string>,
  url: string | null = null,
): Promise<TusJsResult> {
  const requests: string[] = []
  const { promise, resolve } = Promise.withResolvers<string | null>()
  const upload = new Upload(bytes, {
    endpoint: `${holdall.url}/uploads`,
    uploadUrl: url,
    headers: { Authorization: `Bearer ${holdall.token}` },
    retryDelays: [0, 50],
    metadata,
    onAfterResponse: (req, res) => void requests.push(`${req.getMethod()} ${res.getStatus()}`),
    onSuccess: () => resolve(null),
    onError: (error) => resolve(error.message),
  })
  upload.start()
  const error = await promise
  return { error, url: upload.url ?? '', requests }
}
