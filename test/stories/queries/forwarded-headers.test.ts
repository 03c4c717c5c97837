import { describe, expect, onTestFinished, test } from 'vitest'
import { createWorkspace } from '../../support/client.ts'
import { postForm } from '../../support/network/forms.ts'
import { startTestServer } from '../../support/servers/test-server.ts'

async function open(env: Record<string, string>) {
  const holdall = await startTestServer({ env })
  onTestFinished(() => holdall[Symbol.asyncDispose]())
  return holdall
}
type Server = Awaited<ReturnType<typeof open>>

/** Returns the location of a new upload, without its id, and of the redirect at /. */
async function locations(holdall: Server, headers: Record<string, string>) {
  const { id: workspaceId } = await createWorkspace(holdall)
  const metadata = `workspaceId ${Buffer.from(workspaceId).toString('base64')},filename YQ==`
  const upload = await holdall.http('/uploads', {
    method: 'POST',
    headers: {
      ...headers,
      'tus-resumable': '1.0.0',
      'upload-length': '1',
      'upload-metadata': metadata,
    },
  })
  const root = await holdall.http('/', { token: null, headers })
  const [url, page] = [upload, root].map(({ headers }) => headers.get('location'))
  return [url?.replace(/\/uploads\/.*$/, '').replace(holdall.url, ''), page]
}

describe('a path in PUBLIC_URL', () => {
  test('is part of every location: of uploads, links and the redirect of /', async () => {
    const url = 'https://host.example.org/holdall'
    const holdall = await open({ PUBLIC_URL: `${url}/`, TRUST_PROXY: 'true' })
    const lies = { 'x-forwarded-proto': 'http', 'x-forwarded-prefix': '/other' }
    expect(await locations(holdall, lies)).toEqual([url, `${url}/graphql`])
    const { id: workspaceId } = await createWorkspace(holdall)
    const { body } = await postForm(holdall, { workspaceId, file: { name: 'a.txt', bytes: 'x' } })
    expect(body.downloadUrl).toMatch(/^https:\/\/host\.example\.org\/holdall\/download\//)
  })
})

const host = { 'x-forwarded-host': 'files.example.org' }
const understood: [Record<string, string>, string, string][] = [
  [{ ...host, 'x-forwarded-proto': 'https,http' }, 'https://files.example.org', ''],
  [{ ...host, 'x-forwarded-proto': ' HTTPS , HTTP' }, 'https://files.example.org', ''],
  [{ ...host, 'x-forwarded-proto': 'http, https' }, 'http://files.example.org', ''],
  [{ ...host, 'x-forwarded-port': '8443, 80' }, 'http://files.example.org:8443', ''],
  [{ 'x-forwarded-host': '[::1]', 'x-forwarded-port': '81' }, 'http://[::1]:81', ''],
  [
    { ...host, 'x-forwarded-proto': 'https', 'x-forwarded-port': '80' },
    'https://files.example.org',
    '',
  ],
  [
    { 'x-forwarded-host': 'files.example.org:99', 'x-forwarded-port': '8443' },
    'http://files.example.org:99',
    '',
  ],
  [{ ...host, 'x-forwarded-prefix': '/holdall/' }, 'http://files.example.org/holdall', '/holdall'],
  [
    { ...host, 'x-forwarded-prefix': '/a.b/c~d, /e' },
    'http://files.example.org/a.b/c~d',
    '/a.b/c~d',
  ],
]

const hostile = [
  { 'x-forwarded-port': '0' },
  { 'x-forwarded-port': '65536' },
  { 'x-forwarded-port': '81@evil.example' },
  { 'x-forwarded-port': '-1' },
  { 'x-forwarded-prefix': '/' },
  { 'x-forwarded-prefix': '//evil.example' },
  { 'x-forwarded-prefix': 'evil.example' },
  { 'x-forwarded-prefix': '@evil.example' },
  { 'x-forwarded-prefix': '/../x' },
  { 'x-forwarded-prefix': '/x/..' },
  { 'x-forwarded-prefix': '/\\evil.example' },
  { 'x-forwarded-prefix': '/x?y' },
  { 'x-forwarded-prefix': '/%2e%2e/x' },
  { 'x-forwarded-prefix': '/"><script>' },
  { 'x-forwarded-prefix': `/${'x'.repeat(300)}` },
  { 'x-forwarded-proto': 'javascript' },
  { 'x-forwarded-proto': 'https://evil.example/' },
] as Record<string, string>[]

describe('behind a trusted proxy', () => {
  test('the first scheme, port and prefix are part of every location', async () => {
    const holdall = await open({ TRUST_PROXY: 'true' })
    for (const [headers, url, prefix] of understood)
      expect(await locations(holdall, headers)).toEqual([url, `${prefix}/graphql`])
  })

  test('hostile values are ignored', async () => {
    const holdall = await open({ TRUST_PROXY: 'true' })
    for (const headers of hostile) {
      const found = await locations(holdall, { ...host, ...headers })
      expect([headers, ...found]).toEqual([headers, 'http://files.example.org', '/graphql'])
    }
  })
})

test('without TRUST_PROXY none of them counts', async () => {
  const holdall = await open({})
  for (const [headers] of understood)
    expect(await locations(holdall, headers)).toEqual(['', '/graphql'])
})
