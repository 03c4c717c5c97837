import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A block of shell commands of a page, and the output that the page shows below it; empty if none. */
export type Step = { commands: string; shown: string }

/**
 * Returns those ```sh blocks of a Markdown page that call a server, in their order, each with the ```text
 * block that follows it. Skips the blocks that call npm (see npmStepsOf).
 */
export const stepsOf = (page: string): Step[] => allSteps(page).filter((step) => !callsNpm(step))

/** Returns the ```sh blocks of a Markdown page that call npm, which run in the folder of the sources. */
export const npmStepsOf = (page: string): Step[] => allSteps(page).filter(callsNpm)

const callsNpm = ({ commands }: Step) => /\bnpm\b/.test(commands)

function allSteps(page: string): Step[] {
  const fences = [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(
    ([, language = '', text = '']) => ({ language, text }),
  )
  return fences
    .map((fence, i) => ({ fence, next: fences[i + 1] }))
    .filter(({ fence }) => fence.language === 'sh')
    .map(({ fence, next }) => ({
      commands: fence.text,
      shown: next?.language === 'text' ? next.text : '',
    }))
}

/**
 * Replaces each value that a reader has to fill in (`export WS=ws_…`, `export URL='http…'`) with the last one
 * that has this prefix in `printed`, the output so far. Throws if there is none.
 */
export function fillIn(commands: string, printed: string): string {
  return commands.replace(/(?<==)('?)([\w:/.-]+)…/g, (_, quote: string, prefix: string) => {
    const at = printed.lastIndexOf(prefix)
    const end = quote ? /^[^\s"\\]+/ : /^[^\s"\\?&]+/
    const value = end.exec(at === -1 ? '' : printed.slice(at))?.[0]
    if (!value) throw new Error(`no command has printed a value that begins with ${prefix}`)
    return quote + value
  })
}

/**
 * Starts bash in `dir` with these variables. The returned function runs commands and resolves with their
 * output and exit code.
 */
export function openShell(dir: string, env: NodeJS.ProcessEnv = {}) {
  const { PATH, HOME } = process.env
  const bash = spawn('bash', ['--noprofile', '--norc'], {
    cwd: dir,
    env: { PATH, HOME, LC_ALL: 'C.UTF-8', ...env },
  })
  onTestFinished(() => void bash.kill('SIGKILL'))
  const file = join(mkdtempSync(join(tmpdir(), 'holdall-steps-')), 'step')
  onTestFinished(() => rmSync(dirname(file), { recursive: true }))
  let printed = ''
  bash.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  bash.stdin.write('exec 2>&1\nset -o pipefail\n')
  return async (commands: string): Promise<{ output: string; exitCode: number }> => {
    printed = ''
    await writeFile(file, commands)
    bash.stdin.write(`. '${file}' </dev/null\nprintf "\\n--- ended with %s\\n" $?\n`)
    const end = /\n--- ended with (\d+)\n$/
    while (!end.test(printed)) {
      await new Promise((resolve) => bash.stdout.once('data', resolve))
    }
    return { output: printed.replace(end, ''), exitCode: Number(end.exec(printed)?.[1]) }
  }
}

/** Replaces parts that differ between runs with a star: addresses, ids, signatures and times. */
export function withoutRandomParts(output: string): string {
  return output
    .replaceAll('\r', '')
    .replace(/http:\/\/(?:localhost|127\.0\.0\.1):\d+/g, 'http://*')
    .replace(/\/download\/(archive\/)?[^\s"/]+\//g, '/download/$1*/')
    .replace(/\/uploads\/(put\/)?[0-9a-f]{32}[\w.-]*/g, '/uploads/$1*')
    .replace(/\/s\/[\w.-]{20,}/g, '/s/*')
    .replace(/\b(hld|ws|upl|usr|file|fld|ver|tok|share)_[\w-]{20,}(?!\w)/g, '$1_*')
    .replace(/\brow_[0-9a-f]{32}\.[\w-]+\./g, 'row_*.')
    .replace(/\b(ws)_[0-9a-f]{12}_/g, '$1_*_')
    .replace(/"cursor":"[\w=-]+"/g, '"cursor":"*"')
    .replace(/\bOf \d+ objects/g, 'Of * objects')
    .replace(/\b\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/g, '*')
    .replace(/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d\.\d{3}Z)?/g, '*')
    .trim()
}

/** Returns a pattern for output like `shown`, in which … matches any text. */
export function patternOf(shown: string): RegExp {
  const parts = withoutRandomParts(shown).split('…')
  return new RegExp(
    `^${parts.map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('.*')}$`,
  )
}
