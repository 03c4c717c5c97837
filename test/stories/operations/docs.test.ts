import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  fillIn,
  openShell,
  patternOf,
  stepsOf,
  withoutRandomParts,
} from '../../support/docs/walkthrough.ts'
import { root } from '../../support/project-root.ts'
import { launchReady } from '../../support/servers/launch.ts'
import { emptyFolder } from '../../support/servers/process.ts'

const pages = ['README.md', 'docs/quickstart.md', 'docs/api.md'].map((file) => ({
  file,
  steps: stepsOf(readFileSync(join(root, file), 'utf8')),
}))

/** curl exits so when --max-time has passed, which ends the example of a subscription. */
const CURL_TIMED_OUT = 28

test.each(pages)(
  'the commands of $file print what it shows',
  { timeout: 90_000 },
  async ({ steps }) => {
    const token = `hld_${randomBytes(32).toString('base64url')}`
    const { url } = await launchReady({ DATA_DIR: await emptyFolder(), ADMIN_TOKEN: token })
    const run = openShell(await emptyFolder())
    let printed = `${token}\n`
    for (const { commands, shown } of steps) {
      const filled = fillIn(commands, printed).replaceAll('http://localhost:4000', url)
      const { output, exitCode } = await run(filled)
      expect({ filled, output: withoutRandomParts(output) }).toEqual({
        filled,
        output: expect.stringMatching(patternOf(shown)),
      })
      expect([0, CURL_TIMED_OUT]).toContain(exitCode)
      printed += output.replaceAll(url, 'http://localhost:4000')
    }
  },
)

test.each(pages)('$file has commands to run', ({ steps }) => {
  expect(steps.length).toBeGreaterThan(4)
})

test('output that differs from what a page shows is found', () => {
  const shown = '{"id":"ws_01a22e294b5a7399a924cd6699f7e03e","slug":"lab",…}'
  const like = (text: string) => patternOf(shown).test(withoutRandomParts(text))
  expect(like('{"id":"ws_01b22e294b5a7399a924cd6699f7e03f","slug":"lab","x":1}\n')).toBe(true)
  expect(like('{"id":"ws_01b22e294b5a7399a924cd6699f7e03f","slug":"lab2"}')).toBe(false)
  expect(like('{"id":null,"slug":"lab",}')).toBe(false)
})
