import { setTimeout as sleep } from 'node:timers/promises'
import { tusOf } from '../network/tus.ts'
import type { TestServer } from '../servers/test-server.ts'

/** Result of a request: `code` is null on success, an error code, or GONE without a response. */
export type Answer = { code: string | null; status: number; text: string }

export const done: Answer = { code: null, status: 200, text: '' }
export const noAnswer = (error: unknown): Answer => ({
  code: 'GONE',
  status: 0,
  text: String(error),
})

/** Runs a mutation as a generic client does. */
export async function mutate(holdall: TestServer, name: string, input: object, more = '') {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
  const query = `mutation ($input: ${type}Input!) { ${name}(input: $input) {
    __typename ... on ${type}Payload { ${more} } ... on UserError { code message } } }`
  const accept = 'application/graphql-response+json'
  const sent = holdall.http('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify({ query, variables: { input } }),
  })
  return sent.then(answerOf, noAnswer)
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text().catch(() => '')
  // A process that is killed while it responds leaves a truncated body.
  if (text === '' || !text.trimEnd().endsWith('}')) return noAnswer('the answer is truncated')
  const { data, errors } = JSON.parse(text) as { data?: Record<string, any>; errors?: any[] }
  const payload = Object.values(data ?? {})[0]
  const failed = payload?.results?.find((item: any) => item.error)?.error
  const code = errors?.[0]?.extensions?.code ?? payload?.code ?? failed?.code ?? null
  return { code: errors && !code ? 'NO_CODE' : code, status: response.status, text }
}

export const outcomes = 'results { entry { id } error { code message } }'

/**
 * Sends the missing bytes of an upload from the offset of HEAD, in two PATCHes if nothing was received.
 */
export async function send(
  holdall: TestServer,
  { url, bytes }: { url: string; bytes: Buffer },
): Promise<Answer> {
  const tus = tusOf(holdall)
  const half = Math.floor(bytes.length / 2)
  try {
    const head = await tus.head(url)
    if (head.status !== 200) return errorAnswerOf(head)
    let offset = Number(head.headers.get('upload-offset'))
    while (offset < bytes.length) {
      const end = offset < half ? half : bytes.length
      const patched = await tus.patch(url, offset, bytes.subarray(offset, end))
      if (patched.status !== 204) return await errorAnswerOf(patched)
      offset = Number(patched.headers.get('upload-offset'))
    }
    return done
  } catch (error) {
    return noAnswer(error)
  }
}

/**
 * Maximum wait of a client for an upload to become a file; longer than the delay of a confirm after a fault.
 */
const MAX_WAIT_MS = 15_000

/** Sends an upload with auto-confirm, and retries after 423 as tus-js-client does. */
export async function sendAndWait(
  holdall: TestServer,
  upload: { url: string; bytes: Buffer },
): Promise<Answer> {
  const end = performance.now() + MAX_WAIT_MS
  for (;;) {
    const answer = await send(holdall, upload)
    if (answer.status !== 423 || performance.now() > end) return answer
    await sleep(20)
  }
}

export async function errorAnswerOf(response: Response): Promise<Answer> {
  const { status } = response
  const text = await response.text()
  const code = text === '' ? `HTTP ${status}` : JSON.parse(text).code
  return { code, status, text }
}

/** Uploads a small file in one multipart form. */
export async function postFile(holdall: TestServer, fields: Record<string, string>, bytes: Buffer) {
  const body = new FormData()
  for (const [name, value] of Object.entries(fields)) body.append(name, value)
  body.append('file', new Blob([bytes as BlobPart]), 'a.bin')
  const response = await holdall.http('/files', { method: 'POST', body })
  const created = (await response.json()) as any
  if (response.status !== 201) throw new Error(`POST /files: ${JSON.stringify(created)}`)
  return created as { id: string }
}
