import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openApp } from '../../../src/app.ts'
import { readConfig } from '../../../src/config/config.ts'
import type { Env } from '../../../src/config/env.ts'
import { createHttpServer } from '../../../src/http/server.ts'
import { newDatabase } from '../databases.ts'
import { s3ForServers } from '../s3.ts'

export type TestServer = Awaited<ReturnType<typeof startTestServer>>

type AskOptions = {
  /** Token to use instead of the owner's; null for none. */
  token?: string | null
  /** Whether to return the whole result, { data, errors }, instead of throwing errors. */
  expectErrors?: boolean
}
type HttpInit = Omit<RequestInit, 'headers'> & {
  headers?: Record<string, string>
  token?: string | null
  duplex?: 'half'
}
type GraphQLProblem = {
  message: string
  path?: (string | number)[]
  extensions?: Record<string, any>
}

/**
 * Starts the whole server on a free port with an empty folder and a real database, which are deleted when
 * it is disposed.
 */
export async function startTestServer({
  now = Date.now,
  env = {},
  paceMs,
  prepare,
}: {
  now?: () => number
  env?: Env
  /** Period of the minimum rate at which clients must read responses, in milliseconds; default one minute. */
  paceMs?: number
  /** Prepares the folder and the empty database before the server opens them. */
  prepare?: (dir: string, databaseUrl: string | undefined) => Promise<void>
} = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'holdall-'))
  const database = await newDatabase({ isEmpty: prepare !== undefined })
  await prepare?.(dir, database.env.DATABASE_URL)
  const vars = {
    DATA_DIR: dir,
    LOG_LEVEL: process.env.TEST_LOG ?? 'silent',
    DRAIN_SECONDS: '0',
    ...database.env,
    ...s3ForServers(),
  }
  let { app, server, port } = await open(0).catch(async (error) => {
    await database[Symbol.asyncDispose]()
    throw error
  })
  const token = app.firstToken ?? ''

  async function open(wanted: number) {
    const config = readConfig({ ...vars, ...env, PORT: String(wanted) })
    const app = await openApp(config, { now })
    const server = createHttpServer(app, paceMs === undefined ? {} : { paceMs })
    return { app, server, port: await server.listen(wanted, config.host) }
  }

  async function close() {
    await server.close(2000)
    await app[Symbol.asyncDispose]()
  }

  /**
   * Sends a request with the owner's token or with `token`; null sends none. `path` may be an absolute URL.
   */
  function http(
    path: string,
    { token: other = token, headers, ...init }: HttpInit = {},
  ): Promise<Response> {
    const authorization = other === null ? {} : { authorization: `Bearer ${other}` }
    return fetch(new URL(path, holdall.url), {
      redirect: 'manual',
      ...init,
      headers: { ...authorization, ...headers },
    })
  }

  /** Sends GraphQL. Returns status, headers, data and errors. */
  async function graphql(
    query: string,
    variables: Record<string, unknown> = {},
    { token }: AskOptions = {},
  ) {
    const response = await http('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
      body: JSON.stringify({ query, variables }),
      ...(token !== undefined && { token }),
    })
    const { data, errors } = (await response.json()) as { data?: any; errors?: GraphQLProblem[] }
    return { status: response.status, headers: response.headers, data, errors }
  }

  const holdall = {
    dir,
    /** URL of the PostgreSQL database; undefined on SQLite. */
    databaseUrl: database.env.DATABASE_URL,
    token,
    http,
    graphql,
    get url() {
      return `http://127.0.0.1:${port}`
    },
    get app() {
      return app
    },
    /** Returns the data of an operation. Top-level errors are thrown with their messages. */
    async ask<T = any>(
      query: string,
      variables: Record<string, unknown> = {},
      options: AskOptions = {},
    ): Promise<T> {
      const { data, errors } = await graphql(query, variables, options)
      if (options.expectErrors) return { data, errors } as T
      if (errors) throw new Error(errors.map(({ message }) => message).join('; '))
      return data
    },
    /** Closes the server and opens it again on the same port, with the same folder. */
    async restart() {
      await close()
      ;({ app, server, port } = await open(port))
    },
    async [Symbol.asyncDispose]() {
      await close()
      await database[Symbol.asyncDispose]()
      await rm(dir, { recursive: true, force: true })
    },
  }
  return holdall
}
