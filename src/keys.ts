import { parseArgs } from 'node:util'
import { readConfig, StartupError } from './config.ts'
import type { Db } from './database/database.ts'
import { openExisting } from './database/open-existing.ts'
import { addSigningKey, deleteSigningKey, readSigningKeys } from './database/signing-keys.ts'

// What this creates is for the user of this process alone.
process.umask(0o077)

const usage = `npm run keys -- list | rotate | delete <id>

The keys that sign upload URLs, download links, share links and sync cursors, also while servers run.
  list         the keys: id, when it was made, since when it signs
  rotate       makes a new key, which signs two minutes later; links made before stay valid until they end
  delete <id>  takes an older key away ("first" is the one without an id): links and cursors made with it are invalid within 30 s`

/** The process: arguments → config → one change of the keys, or a list of them. */
async function main() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', default: false } },
  })
  const [command = 'list', id, ...more] = positionals
  const run = commands.get(command)
  const isWrong =
    !run || more.length > 0 || (command === 'delete' ? !isKeyName(id) : id !== undefined)
  if (values.help) return console.log(usage)
  if (isWrong) throw new StartupError(usage)
  await using stack = new AsyncDisposableStack()
  const db = stack.adopt(await openExisting(readConfig(process.env).database), (db) => db.destroy())
  await run(db, id ?? '')
}

type Command = (db: Db, id: string) => Promise<void>

const isKeyName = (id: string | undefined) => /^(?:first|k[0-9a-f]{8})$/.test(id ?? '')

const commands = new Map<string, Command>(
  Object.entries({
    async list(db: Db) {
      const keys = await readSigningKeys(db)
      for (const { id, createdAt, activeFrom } of keys.toSorted(
        (a, b) => a.activeFrom - b.activeFrom,
      ))
        console.log(`${id || 'first'}  made ${iso(createdAt)}  signs from ${iso(activeFrom)}`)
    },
    async rotate(db: Db) {
      const { id, activeFrom } = await addSigningKey(db, Date.now())
      console.log(
        `${id} signs from ${iso(activeFrom)}; links made before stay valid until they end.`,
      )
    },
    async delete(db: Db, id: string) {
      const isDeleted = await deleteSigningKey(db, id === 'first' ? '' : id, Date.now())
      if (!isDeleted)
        throw new StartupError(
          `${id} is not a key that another one has followed; see "npm run keys -- list".`,
        )
      console.log(`${id} is deleted: what it has signed is invalid on every server within 30 s.`)
    },
  }),
)

const iso = (moment: number) => new Date(moment).toISOString()

main().catch((error) => {
  const isUsage = error?.code?.startsWith('ERR_PARSE_ARGS')
  console.error(error instanceof StartupError ? error.message : isUsage ? usage : error)
  process.exitCode = 2
})
