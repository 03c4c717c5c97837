import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createWorkspace } from '../../support/client.ts'
import { npmStepsIn, startAsShown } from '../../support/docs/npm-commands.ts'
import {
  fillIn,
  openShell,
  patternOf,
  stepsOf,
  withoutRandomParts,
} from '../../support/docs/walkthrough.ts'
import { root } from '../../support/project-root.ts'
import { newS3Prefix, s3IsGiven } from '../../support/s3.ts'
import { launchReady } from '../../support/servers/launch.ts'
import { emptyFolder } from '../../support/servers/process.ts'

const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, S3_BUCKET, S3_ENDPOINT = '' } = process.env
const bucketEnv = () =>
  ({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, ...newS3Prefix() }) as Record<string, string>

/** The function `gql` of the quick start. */
const gql = stepsOf(readFileSync(join(root, 'docs/quickstart.md'), 'utf8'))
  .map(({ commands }) => commands.split('\n').find((line) => line.startsWith('gql() ')))
  .find((line) => line !== undefined)

describe.skipIf(!s3IsGiven)('docs/s3.md', () => {
  test('shows commands that start a server', { timeout: 60_000 }, async () => {
    const lines = npmStepsIn('docs/s3.md').flatMap(({ commands }) => commands.trim().split('\n'))
    expect(lines.length).toBeGreaterThan(1)
    for (const line of lines) {
      const filled = line
        .replace('S3_BUCKET=files', `S3_BUCKET=${S3_BUCKET}`)
        .replace('S3_REGION=eu-central-1 ', '')
        .replace('https://minio.example.org', S3_ENDPOINT)
        .replaceAll(/ AWS_\w+=…/g, '')
      await startAsShown(filled, bucketEnv())
    }
  })

  test('shows commands of a signed PUT and their output', { timeout: 60_000 }, async () => {
    const token = randomBytes(32).toString('hex')
    const env = { DATA_DIR: await emptyFolder(), ADMIN_TOKEN: token, ...bucketEnv() }
    const { url, holdall } = await launchReady(env)
    const { id } = await createWorkspace(holdall)
    const run = openShell(await emptyFolder(), { TOKEN: token, WS: id })
    await run(`${gql?.replaceAll('http://localhost:4000', url)}`)
    const steps = stepsOf(readFileSync(join(root, 'docs/s3.md'), 'utf8'))
    expect(steps.length).toBeGreaterThan(1)
    let printed = ''
    for (const { commands, shown } of steps) {
      const { output, exitCode } = await run(fillIn(commands, printed))
      expect({ commands, exitCode, output: withoutRandomParts(output) }).toEqual({
        commands,
        exitCode: 0,
        output: expect.stringMatching(patternOf(shown)),
      })
      printed += output
    }
  })
})
