import { parseArgs } from 'node:util'
import { readConfig } from './config/config.ts'
import { StartupError } from './config/startup-error.ts'
import { type ApiScope, apiScopes, type ServiceContext } from './context.ts'
import { openExisting } from './database/open-existing.ts'
import { createUserOnServer } from './domains/members/writes.ts'
import {
  createTokenOnServer,
  revokeTokensOnServer,
  tokensOnServer,
  usersOnServer,
} from './domains/tokens/on-server.ts'
import { DomainError } from './errors/domain-error.ts'

// Files that this process creates are accessible to its own user only.
process.umask(0o077)

const usage = `npm run admin -- <command>

Manages users and tokens on the server, also while it runs, with the same environment variables as it uses.
  users list                              lists the id, address and name of each user
  users create --email <address> [--name <name>]
  tokens create --user <address or id>    prints the secret, once, as the only line on standard output
         [--name <name>]                  name by which people recognize the token
         [--scope <scope>]…               may be repeated; all scopes by default
         [--workspace <id or slug>]       binds the token to this workspace
         [--expires-in-days <days>]
  tokens list --user <address or id>      lists the tokens that are not revoked
  tokens revoke <token id>…               also revokes all tokens that were created with them
Exit status: 0 on success, 1 if the command was refused, 2 if the command is unknown or does not accept an
argument or option; nothing is changed then.`

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
type ServerContext = Pick<ServiceContext, 'db' | 'now'>
type Command = {
  options: readonly (keyof typeof options)[]
  hasArguments?: boolean
  run: (ctx: ServerContext, values: Values, rest: string[]) => Promise<string[]>
}

class UsageError extends Error {}

const commands: Record<string, Command> = {
  'users list': { options: [], run: async (ctx) => (await usersOnServer(ctx)).map(formatUser) },
  'users create': { options: ['email', 'name'], run: createUser },
  'tokens create': {
    options: ['user', 'name', 'scope', 'workspace', 'expires-in-days'],
    run: createToken,
  },
  'tokens list': {
    options: ['user'],
    run: async (ctx, { user }) =>
      (await tokensOnServer(ctx, required('--user', user))).map(formatToken),
  },
  'tokens revoke': { options: [], hasArguments: true, run: revokeTokens },
}

async function createUser(ctx: ServerContext, { email, name }: Values) {
  const user = await createUserOnServer(ctx, {
    email: required('--email', email),
    name: name ?? null,
  })
  return [formatUser(user)]
}

async function createToken(ctx: ServerContext, values: Values) {
  const { token, secret } = await createTokenOnServer(ctx, {
    user: required('--user', values.user),
    name: values.name ?? 'Made on the server',
    scopes: values.scope?.map(parseScope) ?? apiScopes,
    workspace: values.workspace ?? null,
    expiresAt: parseExpiry(values['expires-in-days'], ctx.now()),
  })
  console.error(`${token.id} acts as ${token.userId}; only a hash of its secret is stored.`)
  return [secret]
}

async function revokeTokens(ctx: ServerContext, _: Values, [first, ...others]: string[]) {
  const tokenIds = [required('<token id>', first), ...others]
  const count = await revokeTokensOnServer(ctx, tokenIds)
  return [count === 0 ? '0 revoked: they were already revoked.' : `${count} revoked.`]
}

/** Runs one command on the database and prints its result. */
async function main() {
  const { values, positionals, tokens } = readArguments()
  if (values.help) return console.log(usage)
  const [noun = '', verb = '', ...rest] = positionals
  const name = `${noun} ${verb}`
  const command = commands[name]
  if (!command) throw new UsageError()
  rejectUnused(name, command, { rest, tokens })
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

/** Rejects arguments that the command would ignore: the operator may have meant them as a restriction. */
function rejectUnused(name: string, command: Command, given: Given) {
  const [extra] = given.rest
  if (extra !== undefined && !command.hasArguments)
    throw new UsageError(`${name} does not accept ${extra}.`)
  const names = new Set<string>()
  for (const token of given.tokens) {
    if (token.kind !== 'option') continue
    const option = options[token.name]
    if (!command.options.includes(token.name))
      throw new UsageError(`${name} does not accept --${token.name}.`)
    const isRepeatable = 'multiple' in option
    if (names.has(token.name) && !isRepeatable)
      throw new UsageError(`--${token.name} is given more than once.`)
    names.add(token.name)
  }
}

function required(name: string, value: string | undefined): string {
  if (!value) throw new UsageError(`${name} is missing.`)
  return value
}

function parseScope(name: string): ApiScope {
  const scope = apiScopes.find((known) => known === name)
  if (!scope) throw new UsageError(`--scope must be one of ${apiScopes.join(', ')}, not ${name}.`)
  return scope
}

function parseExpiry(days: string | undefined, now: number): number | null {
  if (days === undefined) return null
  const ms = /^\d+(\.\d+)?$/.test(days) ? Number(days) * 86_400_000 : 0
  if (ms > 0 && ms < 1e13) return Math.floor(now + ms)
  throw new UsageError('--expires-in-days must be a decimal number greater than 0.')
}

type User = Awaited<ReturnType<typeof usersOnServer>>[number]

const formatUser = ({ id, kind, email, name }: User) => formatLine([id, kind, email ?? '-', name])

/** Joins words to a line, without the control characters in names that a terminal would interpret. */
const formatLine = (words: string[]) =>
  words.map((word) => word.replace(/\p{C}/gu, '\ufffd')).join('  ')

const formatTime = (at: number | null) => (at === null ? '-' : new Date(at).toISOString())

const formatToken = (token: Awaited<ReturnType<typeof tokensOnServer>>[number]) =>
  formatLine([
    token.id,
    `${token.prefix}…`,
    token.workspaceId ?? 'every workspace',
    `expires ${formatTime(token.expiresAt)}`,
    `used ${formatTime(token.lastUsedAt)}`,
    token.scopes || 'no scopes',
    token.name,
  ])

function messageFor(error: Error & { code?: string }) {
  if (error instanceof UsageError) return [error.message, usage].filter(Boolean).join('\n\n')
  if (error.code?.startsWith('ERR_PARSE_ARGS')) return `${error.message}\n\n${usage}`
  if (error instanceof StartupError || error instanceof DomainError) return error.message
  return error
}

main().catch((error) => {
  console.error(messageFor(error))
  process.exitCode = error instanceof UsageError || error.code?.startsWith('ERR_PARSE') ? 2 : 1
})
