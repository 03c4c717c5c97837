import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { getSystemErrorMap } from 'node:util'
import { type Fault, isKill, step, type Traits } from './kinds.ts'
import { applyFault, faultOf, killSelf, runStep, runStepSync } from './points.ts'

type Call = (...args: any[]) => any

const lasting = { lasts: true }
const growing = { lasts: true, wantsRoom: true }

/** The calls of node:fs/promises that the server makes, and the traits of each. */
const calls: Record<string, Traits | ((args: any[]) => Traits)> = {
  open: (args) => (makesFile(args[1]) ? { ...growing, opens: true } : { opens: true }),
  opendir: { opens: true },
  mkdtemp: growing,
  mkdir: growing,
  rename: lasting,
  rm: lasting,
  stat: {},
}
const handleCalls: Record<string, Traits> = {
  read: {},
  write: growing,
  appendFile: growing,
  datasync: { lasts: true, syncs: true },
  sync: { lasts: true, syncs: true },
  stat: {},
  truncate: lasting,
}
const makesFile = (flags: unknown) => typeof flags === 'string' && /[aw]/.test(flags)

/** Routes every disk call of the server through the fault points. */
export async function patchDisk(): Promise<void> {
  for (const [name, traits] of Object.entries(calls)) patch(fs.promises, name, traits)
  const file = await fs.promises.open(import.meta.filename)
  const handles = Object.getPrototypeOf(file)
  await file.close()
  for (const [name, traits] of Object.entries(handleCalls)) patch(handles, name, traits)
  patchWritev(handles)
  patchMkdirSync()
  patchOpen()
  syncBuiltinESMExports()
}

function patch(on: object, name: string, traits: Traits | ((args: any[]) => Traits)) {
  const calls = on as Record<string, Call>
  const original = calls[name] as Call
  calls[name] = function (this: unknown, ...args: any[]) {
    const here = step('disk', name, typeof traits === 'function' ? traits(args) : traits)
    return runStep(here, { act: () => original.apply(this, args), error: errnoOf(name) })
  }
}

/** Simulates a full disk: it writes a part of the buffers, and fails with ENOSPC on the next call. */
function patchWritev(handles: { writev: Call }) {
  const { writev } = handles
  handles.writev = function (this: unknown, buffers: Buffer[], position: number) {
    const here = step('disk', 'writev', growing)
    const act = () => writev.call(this, buffers, position)
    const fault = faultOf(here)
    if (!fault) return act()
    if (fault === 'ENOSPC' && buffers.some(({ length }) => length > 1)) {
      const half = buffers.map((bytes) => bytes.subarray(0, Math.ceil(bytes.length / 2)))
      return writev.call(this, half.slice(0, 1), position)
    }
    return applyFault(fault, { act, error: errnoOf('writev') })
  }
}

function patchMkdirSync() {
  const { mkdirSync } = fs
  const act = mkdirSync as Call
  fs.mkdirSync = ((...args: any[]) =>
    runStepSync(step('disk', 'mkdirSync', growing), {
      act: () => act(...args),
      error: errnoOf('mkdir'),
    })) as typeof mkdirSync
}

/** Patches fs.open, which streams of a path call first. */
function patchOpen() {
  const { open } = fs
  const act = open as Call
  fs.open = ((...args: any[]) => {
    const fault = faultOf(step('disk', 'open stream', { opens: true }))
    if (!fault) return act(...args)
    if (isKill(fault)) killSelf()
    return process.nextTick(args.at(-1), errnoOf('open')(fault))
  }) as typeof open
}

/** Returns the system's error for a fault. LOST is reported as a timeout of the file server. */
const errnoOf = (syscall: string) => (fault: Fault) => {
  const code = fault === 'LOST' ? 'ETIMEDOUT' : fault
  const found = [...getSystemErrorMap()].find(([, [name]]) => name === code)
  const [errno, [, words]] = found ?? [0, [code, 'unknown error']]
  return Object.assign(new Error(`${code}: ${words}, ${syscall}`), { errno, code, syscall })
}
