import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { TestContext } from 'vitest'

/** A command with its arguments. */
type Command = readonly [string, ...string[]]
type Tools = {
  /** What the installation needs; the test is skipped where `--version` or `version` of one fails. */
  needs: readonly Command[]
  /** Folders beside this file to copy, each with its path in the folder. */
  copies?: Record<string, string>
  /** Files to write, with their contents. */
  files?: Record<string, string>
  /** Commands that install packages from the public registries; the test is skipped if one fails. */
  steps: readonly Command[]
}
/** A folder with installed tools. */
export type Toolchain = {
  dir: string
  /** Runs a command in the folder. Returns its output; throws with the output if it fails. */
  run: (...command: Command) => Promise<string>
}

const STEP_TIMEOUT_MS = 300_000

const execute = promisify(execFile)

async function runIn(dir: string, [command, ...args]: Command): Promise<string> {
  const options = { cwd: dir, timeout: STEP_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 }
  try {
    const { stdout, stderr } = await execute(command, args, options)
    return stdout + stderr
  } catch (error) {
    const {
      message,
      stdout = '',
      stderr = '',
    } = error as Error & Record<'stdout' | 'stderr', string>
    throw new Error(`${message}\n${stdout}\n${stderr}`, { cause: error })
  }
}

/**
 * Returns a function that installs `tools` into a temporary folder at its first call. Where the machine or
 * its network does not allow it, the function skips the test and prints the reason.
 */
export function toolchain(tools: Tools): (context: TestContext) => Promise<Toolchain> {
  let installed: Promise<Toolchain | string> | undefined
  return async (context) => {
    installed ??= install(tools)
    const result = await installed
    if (typeof result !== 'string') return result
    process.stderr.write(`skipped: ${context.task.name}: ${result}\n`)
    return context.skip(result)
  }
}

async function install({ needs, copies = {}, files = {}, steps }: Tools) {
  const dir = mkdtempSync(join(tmpdir(), 'holdall-clients-'))
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  for (const [from, to] of Object.entries(copies))
    cpSync(join(import.meta.dirname, from), join(dir, to), { recursive: true })
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), text)
  }
  for (const command of [...needs, ...steps]) {
    const reason = await runIn(dir, command).then(
      () => null,
      (error: Error) => error.message,
    )
    if (reason !== null) return `${command.join(' ')}: ${reason.slice(0, 500)}`
  }
  return { dir, run: (...command: Command) => runIn(dir, command) }
}
