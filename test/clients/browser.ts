import { once } from 'node:events'
import { createReadStream, existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Toolchain, toolchain } from './toolchain.ts'

const CHROMIUM = '/usr/bin/chromium'

/** The part of a page of playwright-core that the tests use. */
type Page = {
  goto: (url: string) => Promise<unknown>
  reload: () => Promise<unknown>
  evaluate: <T>(script: string) => Promise<T>
  waitForFunction: (
    script: string,
    arg?: undefined,
    options?: { timeout: number },
  ) => Promise<unknown>
  on: (event: 'request', listener: (request: { method: () => string }) => void) => void
}
type Context = { newPage: () => Promise<Page>; close: () => Promise<void> }
type Playwright = {
  chromium: { launchPersistentContext: (dir: string, options: object) => Promise<Context> }
}

/** Chromium with a driver, and the page of programs/browser, bundled. */
export const browserTools = toolchain({
  needs: [
    ['npm', '--version'],
    [CHROMIUM, '--version'],
  ],
  copies: { 'programs/browser': '.' },
  steps: [
    ['npm', 'install', '--no-audit', '--no-fund', '--loglevel=error'],
    ['npx', 'esbuild', 'page.mjs', '--bundle', '--outfile=page.js', '--log-level=error'],
  ],
})

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Opens Chromium with an empty profile. */
export async function openBrowser({ dir }: Toolchain) {
  const profile = await mkdtemp(join(tmpdir(), 'holdall-chromium-'))
  const library = pathToFileURL(join(dir, 'node_modules/playwright-core/index.mjs')).href
  const { chromium }: Playwright = await import(/* @vite-ignore */ library)
  const options = { executablePath: CHROMIUM, headless: true, args }
  const context = await chromium.launchPersistentContext(profile, options)
  return {
    newPage: () => context.newPage(),
    async [Symbol.asyncDispose]() {
      await context.close()
      await rm(profile, { recursive: true, force: true })
    },
  }
}

/** Serves the page on a port of its own, and so from another origin than the server. */
export async function servePage({ dir }: Toolchain) {
  const server = createServer((req, res) => {
    const path = join(dir, req.url === '/' ? 'index.html' : 'page.js')
    if (!existsSync(path)) return res.writeHead(404).end()
    res.setHeader('Content-Type', path.endsWith('.js') ? 'text/javascript' : 'text/html')
    return createReadStream(path).pipe(res)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
