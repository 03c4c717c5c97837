import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createUpload, createWorkspace, downloadUrl, uploadFile } from '../../support/client.ts'
import { tusOf, until } from '../../support/network/tus.ts'
import { emptyFolder, startProcess } from '../../support/servers/process.ts'
import { serverAt } from '../../support/servers/server-at.ts'
import { timingRetries } from '../../support/timed.ts'

const ADMIN_TOKEN = 'asked-while-it-shuts-down'
const MIB = 1024 * 1024
const QUERY = JSON.stringify({ query: '{ viewer { user { name } } }' })
const MUTATION = JSON.stringify({
  query: 'mutation { createWorkspace(input: { name: "late" }) { __typename } }',
})
const headers = {
  authorization: `Bearer ${ADMIN_TOKEN}`,
  'content-type': 'application/json',
  accept: 'application/graphql-response+json',
}

async function startServer(DRAIN_SECONDS: string) {
  const env = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN, LOG_LEVEL: 'error', DRAIN_SECONDS }
  const server = await startProcess(env)
  const { port } = new URL(server.url)
  return { ...server, port: Number(port), holdall: serverAt(server.url, ADMIN_TOKEN) }
}

type Answer = { status: number; connection: string | undefined; code: string | undefined }

/** POSTs GraphQL; null if the connection is refused. */
async function post(port: number, body: string, agent?: Agent): Promise<Answer | null> {
  const outgoing = request({ port, path: '/graphql', method: 'POST', headers, agent })
  try {
    outgoing.end(body)
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    const { errors } = JSON.parse(await text(response))
    const { connection } = response.headers
    return { status: response.statusCode ?? 0, connection, code: errors?.[0]?.extensions.code }
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toMatch(/ECONNREFUSED|ECONNRESET/)
    return null
  }
}

/** A download whose reader has taken only the first bytes. */
async function downloadSlowly(url: string) {
  const outgoing = request(url, { agent: false }).on('error', () => {})
  const [response] = (await once(outgoing.end(), 'response')) as [IncomingMessage]
  await once(response, 'readable')
  return response
}

test(
  'F20: after SIGTERM /readyz is 503 and GraphQL works for DRAIN_SECONDS, also during a slow download',
  timingRetries,
  async () => {
    const server = await startServer('3')
    const { holdall, port } = server
    const { id: workspaceId } = await createWorkspace(holdall)
    const bytes = Buffer.alloc(24 * MIB, 'holdall ')
    const file = await uploadFile(holdall, { workspaceId, name: 'large.bin', bytes })
    const upload = await createUpload(holdall, { workspaceId, name: 'b.bin', size: 5 })
    const slow = await downloadSlowly(await downloadUrl(holdall, file.id))

    const stopped = server.stop()
    const readyz = async () => (await fetch(`${server.url}/readyz`)).status
    await until(async () => (await readyz()) === 503)
    const drainedSince = performance.now()
    expect((await holdall.http(`/download/${file.id}`)).status).toBe(503)
    expect((await tusOf(holdall).head(upload.url)).status).toBe(423)
    const answers: (Answer | null)[] = []
    const agent = new Agent({ keepAlive: true })
    while (performance.now() - drainedSince < 2000) {
      answers.push(
        await post(port, QUERY),
        await post(port, QUERY, agent),
        await post(port, MUTATION),
      )
      await sleep(20)
    }
    expect(answers.length).toBeGreaterThan(20)
    expect(new Set(answers.map((answer) => JSON.stringify(answer)))).toEqual(
      new Set([JSON.stringify({ status: 200, connection: 'close' })]),
    )
    // The listener closes while the download continues, which then ends complete.
    await until(async () => (await post(port, QUERY)) === null)
    let received = 0
    for await (const chunk of slow) received += chunk.length
    expect(received).toBe(bytes.length)
    await stopped
  },
)

test('F20: later requests on open connections get a GraphQL error', timingRetries, async () => {
  for (const [body, type] of [
    [QUERY, 'application/graphql-response+json'],
    [MUTATION, 'application/json'],
  ] as const) {
    const server = await startServer('1')
    const socket = connect(server.port, '127.0.0.1')
    await once(socket, 'connect')
    // An idle connection is closed with the listener.
    socket.write('POST /graphql HTTP/1.1\r\nHost: localhost\r\n')
    await sleep(100)
    const stopped = server.stop()
    await until(async () => (await post(server.port, QUERY)) === null)
    const head = [
      `Authorization: ${headers.authorization}`,
      'Content-Type: application/json',
      `Accept: ${type}`,
      `Content-Length: ${body.length}`,
    ]
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    const answer = await text(socket)
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(answer).toMatch(new RegExp(`^content-type: ${type.replace('+', '\\+')}`, 'im'))
    expect(answer).toMatch(/^retry-after: 2\r$/im)
    expect(answer).toMatch(/^connection: close\r$/im)
    expect(answer).toMatch(/\{"errors":\[\{.*"code":"UNAVAILABLE","retryAfterSeconds":2/)
    await stopped
  }
})

test(
  'F20: when shutdown begins subscriptions end without complete, and new ones are refused',
  timingRetries,
  async () => {
    const server = await startServer('2')
    const { id } = await createWorkspace(server.holdall)
    const query = `subscription { workspaceChanges(workspaceId: "${id}") { __typename } }`
    const subscribe = () =>
      fetch(`${server.url}/graphql`, {
        method: 'POST',
        headers: { ...headers, accept: 'text/event-stream' },
        body: JSON.stringify({ query }),
      })
    const open = await subscribe()
    const stopped = server.stop()
    expect(await open.text()).not.toContain('event: complete')
    const late = await subscribe()
    expect([late.status, late.headers.get('retry-after')]).toEqual([503, '2'])
    expect(await late.text()).toContain('UNAVAILABLE')
    await stopped
  },
)

test('F20: with DRAIN_SECONDS=0 the port closes at once', timingRetries, async () => {
  const server = await startServer('0')
  const startedAt = performance.now()
  await server.stop()
  expect(performance.now() - startedAt).toBeLessThan(4000)
})
