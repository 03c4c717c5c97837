import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { emptyFolder, startProcess } from '../../support/servers/process.ts'

/** Code that prints to the console of the server's process, once it listens. */
const noisy = (more: string) => `
  const { warn } = console
  const timer = setInterval(() => {
    if (process.listenerCount('SIGTERM') === 0) return
    clearInterval(timer)
    warn('of a library\\nin two lines')
    console.error(new Error('printed'))
    process.emitWarning('deprecated')
    process.stderr.write('raw\\n')
    ${more}
  }, 100)`

const start = async (more: string, LOG_LEVEL = 'warn') =>
  startProcess({
    DATA_DIR: await emptyFolder(),
    LOG_LEVEL,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(noisy(more))}`,
  })

/** Parses every line of stderr as JSON. */
const linesOf = (err: string) =>
  err
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { level: number; msg: string; err?: { message: string } })

test('S35: output of libraries and warnings of Node.js are lines of JSON in the log', async () => {
  const server = await start('')
  await expect.poll(() => server.output.err, { timeout: 20_000 }).toContain('raw')
  await sleep(100)
  const lines = linesOf(server.output.err)
  expect(lines.map(({ msg, err }) => err?.message ?? msg.split('\n')[0])).toEqual(
    expect.arrayContaining(['of a library', 'Error: printed', 'deprecated', 'raw']),
  )
  await server.stop()
})

test('S35: so is the exception that ends the process', async () => {
  const server = await start('throw new Error("unexpected")')
  expect(await server.exited).toBe(1)
  // The warning of emitWarning may follow, because Node.js emits it in a later turn.
  const fatal = linesOf(server.output.err).filter(({ level }) => level === 60)
  expect(fatal).toMatchObject([{ err: { message: 'unexpected' } }])
})

test('LOG_LEVEL=silent suppresses them, too', async () => {
  const server = await start('', 'silent')
  await sleep(1000)
  expect((await server.stop()).err).toBe('')
})
