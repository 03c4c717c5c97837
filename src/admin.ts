import { parseArgs } from 'node:util'
import { readConfig, StartupError } from './config.ts'
import { type ApiScope, apiScopes, type ServiceContext } from './context.ts'
import { openExisting } from './database/open-existing.ts'
import { createUserOnServer } from './domains/members/writes.ts'
import {
  createTokenOnServer,
  revokeTokensOnServer,
  tokensOnServer,
  usersOnServer,
} from './domains/tokens/on-server.ts'
import { DomainError } from './errors.ts'

// What this creates is for the user of this process alone.
process.umask(0o077)

const usage = `npm run admin -- <command>

What the operator does on the server, also while it runs, with the same variables as it has:
  users list                              the id, address and name of each user
  users create --email <address> [--name <name>]
  tokens create --user <address or id>    prints the secret, once and alone, on standard output
         [--name <name>]                  for people to tell tokens apart
         [--scope <scope>]…               may be repeated; without it all scopes
         [--workspace <id or slug>]       binds the token to it
         [--expires-in-days <days>]
  tokens list --user <address or id>      those that are not revoked
  tokens revoke <token id>…               with all tokens that were made with them
It exits with 0 when that is done, with 1 where it is refused, and with 2 where the command is not one of these
or has an argument or option that it does not take; nothing is changed then.`

const options = {
  email: { type: 'string' },
  user: { type: 'string' },
  name: { type: 'string' },
  scope: { type: 'string', multiple: true },
  workspace: { type: 'string' },
  'expires-in-days': { type: 'string' },
  help: { type: 'boolean', default: false },
} as const

type Values = ReturnType<typeof readArguments>['values']
type ServerScope = Pick<ServiceContext, 'db' | 'now'>
type Command = {
  /** The options that it takes. */
  takes: readonly (keyof typeof options)[]
  /** Whether arguments follow its name. */
  takesArguments?: boolean
  run: (ctx: ServerScope, values: Values, rest: string[]) => Promise<string[]>
}

class UsageError extends Error {}

const commands: Record<string, Command> = {
  'users list': { takes: [], run: async (ctx) => (await usersOnServer(ctx)).map(userLine) },
  'users create': { takes: ['email', 'name'], run: createUser },
  'tokens create': {
    takes: ['user', 'name', 'scope', 'workspace', 'expires-in-days'],
    run: createToken,
  },
  'tokens list': {
    takes: ['user'],
    run: async (ctx, { user }) =>
      (await tokensOnServer(ctx, required('--user', user))).map(tokenLine),
  },
  'tokens revoke': { takes: [], takesArguments: true, run: revokeTokens },
}

async function createUser(ctx: ServerScope, { email, name }: Values) {
  const user = await createUserOnServer(ctx, {
    email: required('--email', email),
    name: name ?? null,
  })
  return [userLine(user)]
}

async function createToken(ctx: ServerScope, values: Values) {
  const { token, secret } = await createTokenOnServer(ctx, {
    user: required('--user', values.user),
    name: values.name ?? 'Made on the server',
    scopes: values.scope?.map(scopeNamed) ?? apiScopes,
    workspace: values.workspace ?? null,
    expiresAt: endIn(values['expires-in-days'], ctx.now()),
  })
  console.error(`${token.id} acts as ${token.userId}; only a hash of its secret is kept.`)
  return [secret]
}

async function revokeTokens(ctx: ServerScope, _: Values, [first, ...others]: string[]) {
  const tokenIds = [required('<token id>', first), ...others]
  const count = await revokeTokensOnServer(ctx, tokenIds)
  return [count === 0 ? '0 revoked: they were revoked before.' : `${count} revoked.`]
}

/** The process: arguments → config → an open database → one command → its lines. */
async function main() {
  const { values, positionals, tokens } = readArguments()
  if (values.help) return console.log(usage)
  const [noun = '', verb = '', ...rest] = positionals
  const name = `${noun} ${verb}`
  const command = commands[name]
  if (!command) throw new UsageError()
  refuseSuperfluous(name, command, { rest, tokens })
  const db = await openExisting(readConfig(process.env).database)
  try {
    const lines = await command.run({ db, now: Date.now }, values, rest)
    for (const line of lines) console.log(line)
  } finally {
    await db.destroy()
  }
}

const readArguments = () => parseArgs({ options, allowPositionals: true, tokens: true })

type Given = { rest: string[] } & Pick<ReturnType<typeof readArguments>, 'tokens'>

/** What a command would ignore may be what the operator means to restrict it by. */
function refuseSuperfluous(name: string, { takes, takesArguments }: Command, given: Given) {
  const [extra] = given.rest
  if (extra !== undefined && !takesArguments)
    throw new UsageError(`${name} does not take ${extra}.`)
  const seen = new Set<string>()
  for (const token of given.tokens) {
    if (token.kind !== 'option') continue
    const option = options[token.name]
    if (!takes.includes(token.name)) throw new UsageError(`${name} does not take --${token.name}.`)
    const isRepeatable = 'multiple' in option
    if (seen.has(token.name) && !isRepeatable)
      throw new UsageError(`--${token.name} is given more than once.`)
    seen.add(token.name)
  }
}

function required(name: string, value: string | undefined): string {
  if (!value) throw new UsageError(`${name} is missing.`)
  return value
}

function scopeNamed(name: string): ApiScope {
  const scope = apiScopes.find((known) => known === name)
  if (!scope) throw new UsageError(`--scope is one of ${apiScopes.join(', ')}, not ${name}.`)
  return scope
}

function endIn(days: string | undefined, now: number): number | null {
  if (days === undefined) return null
  const ms = /^\d+(\.\d+)?$/.test(days) ? Number(days) * 86_400_000 : 0
  if (ms > 0 && ms < 1e13) return Math.floor(now + ms)
  throw new UsageError('--expires-in-days is a decimal number above 0.')
}

type User = Awaited<ReturnType<typeof usersOnServer>>[number]

const userLine = ({ id, kind, email, name }: User) => line([id, kind, email ?? '-', name])

/** Names come from people, and may hold what a terminal obeys. */
const line = (words: string[]) => words.map((word) => word.replace(/\p{C}/gu, '\ufffd')).join('  ')

const moment = (at: number | null) => (at === null ? '-' : new Date(at).toISOString())

const tokenLine = (token: Awaited<ReturnType<typeof tokensOnServer>>[number]) =>
  line([
    token.id,
    `${token.prefix}…`,
    token.workspaceId ?? 'every workspace',
    `expires ${moment(token.expiresAt)}`,
    `used ${moment(token.lastUsedAt)}`,
    token.scopes || 'no scopes',
    token.name,
  ])

function sentenceFor(error: Error & { code?: string }) {
  if (error instanceof UsageError) return [error.message, usage].filter(Boolean).join('\n\n')
  if (error.code?.startsWith('ERR_PARSE_ARGS')) return `${error.message}\n\n${usage}`
  if (error instanceof StartupError || error instanceof DomainError) return error.message
  return error
}

main().catch((error) => {
  console.error(sentenceFor(error))
  process.exitCode = error instanceof UsageError || error.code?.startsWith('ERR_PARSE') ? 2 : 1
})
