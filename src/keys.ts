import { parseArgs } from 'node:util'
import { readConfig } from './config/config.ts'
import { StartupError } from './config/startup-error.ts'
import type { Db } from './database/database.ts'
import { openExisting } from './database/open-existing.ts'
import { addSigningKey, deleteSigningKey, readSigningKeys } from './database/signing-keys.ts'
import { runCommand } from './run-command.ts'

// Files that this process creates are accessible to its own user only.
process.umask(0o077)

const usage = `npm run keys -- list | rotate | delete <id>

Manages the keys that sign upload URLs, download links, share links and sync cursors, also while servers run.
  list         lists the keys: id, creation time, time from which it signs
  rotate       creates a new key, which signs from two minutes later; older links stay valid until they expire
  delete <id>  deletes a replaced key ("first" is the one without an id); its links and cursors become invalid within 30 s`

/** Runs one command: list, rotate or delete. */
async function main() {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', default: false } },
  })
  const [command = 'list', id = '', ...more] = positionals
  const run = commands.get(command)
  const isWrong = !run || more.length > 0 || (command === 'delete' ? !isKeyName(id) : id !== '')
  if (values.help) return console.log(usage)
  if (isWrong) throw new StartupError(usage)
  await using stack = new AsyncDisposableStack()
  const db = stack.adopt(await openExisting(readConfig(process.env).database), (db) => db.destroy())
  await run(db, id)
}

type Command = (db: Db, id: string) => Promise<void>

const isKeyName = (id: string) => /^(?:first|k[0-9a-f]{8})$/.test(id)

const commands = new Map<string, Command>(
  Object.entries({
    async list(db: Db) {
      const keys = await readSigningKeys(db)
      for (const { id, createdAt, activeFrom } of keys.toSorted(
        (a, b) => a.activeFrom - b.activeFrom,
      ))
        console.log(`${id || 'first'}  created ${iso(createdAt)}  signs from ${iso(activeFrom)}`)
    },
    async rotate(db: Db) {
      const { id, activeFrom } = await addSigningKey(db, Date.now())
      console.log(`${id} signs from ${iso(activeFrom)}; older links stay valid until they expire.`)
    },
    async delete(db: Db, id: string) {
      const isDeleted = await deleteSigningKey(db, id === 'first' ? '' : id, Date.now())
      if (!isDeleted)
        throw new StartupError(
          `${id} is not a key that a newer one has replaced; see "npm run keys -- list".`,
        )
      console.log(`${id} is deleted; its signatures become invalid on all servers within 30 s.`)
    },
  }),
)

const iso = (moment: number) => new Date(moment).toISOString()

runCommand(main, usage)
