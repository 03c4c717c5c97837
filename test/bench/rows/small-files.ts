import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { createWorkspace } from '../../support/client.ts'
import { type Server, startServer } from '../../support/servers/fleet.ts'
import { mapConcurrently } from '../../support/servers/pooled.ts'
import { startProgram } from '../../support/servers/program.ts'
import { ADMIN_TOKEN } from '../question.ts'
import type { Row, Target } from '../table.ts'
import { measureInTurns, newFolder, secondsOf } from '../turns.ts'

const FILES = 2_000
const CONCURRENCY = 16
const BATCH_SIZE = 100
const SIZE = 4_096
const peer = join(import.meta.dirname, '../peers/stock-tus.ts')

/** On disk, which Holdall waits for three times per file and stock tus never. */
export const smallFiles: Row = {
  name: 'P4',
  async measure(rounds) {
    await using folder = await newFolder()
    await using server = await startServer({ DATA_DIR: folder.path, ADMIN_TOKEN })
    await using files = await newFolder()
    await using stock = await startProgram([peer, files.path], {})
    const { id } = await createWorkspace(server.holdall)
    const rate = (work: () => Promise<unknown>) => async () => FILES / (await secondsOf(work))
    const rates = await measureInTurns(rounds, {
      stock: rate(() => mapConcurrently(FILES, CONCURRENCY, () => toStock(stock.url))),
      each: rate(() => mapConcurrently(FILES, CONCURRENCY, () => toHoldall(server, id))),
      batched: rate(() => batched(server, id)),
    })
    const line = (work: string, ours: number, target: Target) => ({
      work,
      ours: `${ours.toFixed(0)} files/s`,
      theirs: `${rates.stock.toFixed(0)} files/s, stock tus`,
      ratio: ours / rates.stock,
      target,
    })
    return [
      line('2,000 files of 4 KiB, 16 at a time', rates.each, { atLeast: 0.4 }),
      line('the same, by createUploads and confirmUploads of 100', rates.batched, { atLeast: 0.8 }),
    ]
  },
}

let [bodyCount, fileCount] = [0, 0]
/** Returns different bytes each time, so that deduplication does not apply. */
const newBytes = () => Buffer.from(`${bodyCount++}`.padEnd(SIZE))

async function toStock(url: string) {
  const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Length': `${SIZE}` }
  const { location = '' } = (await send('POST', `${url}/files`, { headers })).headers
  await patch(location, newBytes(), {})
}

async function toHoldall(server: Server, workspaceId: string) {
  const input = { workspaceId, name: `file ${fileCount++}`, size: SIZE }
  const { upload } = await mutate(server, 'createUpload', input, 'upload { id url }')
  await patch(upload.url, newBytes())
  await mutate(server, 'confirmUpload', { uploadId: upload.id }, 'file { id }')
}

async function batched(server: Server, workspaceId: string) {
  for (let at = 0; at < FILES; at += BATCH_SIZE) {
    const wanted = Array.from({ length: BATCH_SIZE }, () => ({
      ...{ workspaceId, name: `file ${fileCount++}`, size: SIZE },
    }))
    const all = await mutate(
      server,
      'createUploads',
      { uploads: wanted },
      'results { upload { id url } }',
    )
    const uploads = all.results.map(({ upload }: any) => upload)
    await mapConcurrently(BATCH_SIZE, CONCURRENCY, (n) => patch(uploads[n].url, newBytes()))
    const confirmed = { uploads: uploads.map(({ id }: any) => ({ uploadId: id })) }
    await mutate(server, 'confirmUploads', confirmed, 'succeeded failed')
  }
}

async function mutate({ url }: Server, name: string, input: object, selection: string) {
  const type = `${name[0]?.toUpperCase()}${name.slice(1)}`
  const query = `mutation ($input: ${type}Input!) { ${name}(input: $input) {
    ... on ${type}Payload { ${selection} } ... on UserError { code message } } }`
  const body = Buffer.from(JSON.stringify({ query, variables: { input } }))
  const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${ADMIN_TOKEN}` }
  const { data, errors } = JSON.parse(
    (await send('POST', `${url}/graphql`, { headers, body })).text,
  )
  const answer = data?.[name]
  if (errors || answer.code || answer.failed) throw new Error(JSON.stringify([errors, answer]))
  return answer
}

const authorized = { Authorization: `Bearer ${ADMIN_TOKEN}` }
const patch = (url: string, body: Buffer, more: Record<string, string> = authorized) =>
  send('PATCH', url, {
    headers: {
      'Tus-Resumable': '1.0.0',
      'Upload-Offset': '0',
      'Content-Type': 'application/offset+octet-stream',
      ...more,
    },
    body,
  })

const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY })

type Sent = { headers: Record<string, string>; body?: Buffer }

/** Sends a request; throws unless it succeeds. */
function send(method: string, url: string, { headers, body }: Sent) {
  const length = { 'Content-Length': body?.length ?? 0 }
  return new Promise<{ headers: NodeJS.Dict<string>; text: string }>((resolve, reject) => {
    const req = request(url, { method, agent, headers: { ...headers, ...length } }, (res) => {
      let text = ''
      res.setEncoding('utf8').on('data', (more) => {
        text += more
      })
      res.on('end', () => {
        const { statusCode = 500 } = res
        if (statusCode >= 300) return reject(new Error(`${statusCode} ${text}`))
        resolve({ headers: res.headers as NodeJS.Dict<string>, text })
      })
    })
    req.on('error', reject).end(body)
  })
}
