import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { confirmUpload, createUpload, createWorkspace } from '../support/client.ts'
import { freePort } from '../support/network/free-port.ts'
import { startServer } from '../support/servers/fleet.ts'
import { type Program, startProgram } from '../support/servers/program.ts'
import { change, sendAll } from './curl.ts'
import { ADMIN_TOKEN } from './question.ts'
import { newFolder, secondsOf } from './turns.ts'

/** A server that receives uploads into a directory of its own. */
export type Sink = AsyncDisposable & {
  program: Program
  dir: string
  /** Creates an upload; returns the URL for its PATCH, and a function that completes it. */
  newUpload: (size: number) => Promise<{ url: string; finish: () => Promise<unknown> }>
  /** Deletes the received bytes to free disk space. */
  clear: () => Promise<void>
}

/** createUpload, PATCH, confirmUpload: ends with a known sha256, synced. */
export const holdallSink = (where?: string, env = {}): Promise<Sink> =>
  sinkIn(where, async (dir) => {
    const program = await startServer({ DATA_DIR: dir, ADMIN_TOKEN, ...env })
    const { id: workspaceId } = await createWorkspace(program.holdall)
    let made = 0
    return {
      program,
      async newUpload(size) {
        const input = { workspaceId, name: `${made++}`, size }
        const { id, url } = await createUpload(program.holdall, input)
        return { url, finish: () => confirmUpload(program.holdall, { uploadId: id }) }
      },
      clear: () => removeFiles(join(dir, 'blobs')),
    }
  })

/** POST, PATCH: ends with the bytes in the cache of the operating system. */
export const stockTus = (where?: string): Promise<Sink> =>
  sinkIn(where, async (dir) => {
    const program = await startProgram([peer('stock-tus'), dir], {})
    const newUpload = (size: number) => newTusUpload(program.url, size)
    return { program, newUpload, clear: () => removeFiles(dir) }
  })

/** POST, PATCH: ends with the bytes in the bucket of S3_ENDPOINT and S3_BUCKET. */
export const stockTusOnS3 = (): Promise<Sink> =>
  sinkIn(undefined, async () => {
    const program = await startProgram([peer('stock-tus-s3')], { ...process.env })
    const newUpload = (size: number) => newTusUpload(program.url, size)
    return { program, newUpload, clear: async () => {} }
  })

/** Stock tus in one process with a Holdall for GraphQL, whose URL is that of `program`. */
export const stockBeside = (where?: string): Promise<Sink> =>
  sinkIn(where, async (dir) => {
    const [port, uploads] = [await freePort(), join(dir, 'uploads')]
    await mkdir(uploads)
    const env = { DATA_DIR: dir, ADMIN_TOKEN, LOG_LEVEL: 'error' }
    const args = [peer('stock-beside'), uploads, `${port}`]
    const program = await startProgram(args, env)
    const newUpload = (size: number) => newTusUpload(`http://localhost:${port}`, size)
    return { program, newUpload, clear: () => removeFiles(uploads) }
  })

/** PATCH only. */
export const gathering = (where?: string): Promise<Sink> =>
  sinkIn(where, async (dir) => {
    const program = await startProgram([peer('gathering'), dir], {})
    let made = 0
    const newUpload = async () => ({ url: `${program.url}/${made++}`, finish: async () => {} })
    return { program, newUpload, clear: () => removeFiles(dir) }
  })

export const peer = (name: string) => join(import.meta.dirname, `peers/${name}.ts`)

async function newTusUpload(at: string, size: number) {
  const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Length': `${size}` }
  const made = await fetch(`${at}/files`, { method: 'POST', headers })
  return { url: made.headers.get('location') ?? '', finish: async () => {} }
}

async function sinkIn(
  where: string | undefined,
  open: (dir: string) => Promise<Omit<Sink, 'dir' | keyof AsyncDisposable>>,
): Promise<Sink> {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await newFolder(where))
  const sink = await open(folder.path)
  stack.use(sink.program)
  const moved = stack.move()
  return { ...sink, dir: folder.path, [Symbol.asyncDispose]: () => moved.disposeAsync() }
}

/**
 * Deletes all files below a directory but no directories; does nothing if it does not exist, as with a
 * bucket.
 */
async function removeFiles(dir: string) {
  if (!existsSync(dir)) return
  const entries = await readdir(dir, { recursive: true, withFileTypes: true })
  for (const entry of entries) if (entry.isFile()) await rm(join(entry.parentPath, entry.name))
}

/**
 * Sends the files concurrently and completes them; returns the elapsed time and the CPU time of the server in
 * seconds.
 */
export async function timeOf(sink: Sink, files: string[]) {
  const sent = await Promise.all(files.map((file) => prepare(sink, file)))
  const before = await sink.program.cpuSeconds()
  const seconds = await secondsOf(async () => {
    await sendAll(sent)
    await Promise.all(sent.map(({ finish }) => finish()))
  })
  const cpuSeconds = (await sink.program.cpuSeconds()) - before
  await sink.clear()
  return { seconds, cpuSeconds }
}

async function prepare(sink: Sink, file: string) {
  await change(file)
  const { size } = await stat(file)
  return { file, ...(await sink.newUpload(size)) }
}
