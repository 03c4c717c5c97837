import { open } from 'node:fs/promises'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

// A minimal upload server: node:http and one fs.writev per MiB, without tus, hashing or fsync. PATCH /NAME
// writes a new file into the directory given as the first argument.

const BATCH_BYTES = 1024 * 1024
const [directory = ''] = process.argv.slice(2)

async function take(req: IncomingMessage) {
  const file = await open(join(directory, req.url ?? ''), 'w')
  let [batch, bytes]: [Buffer[], number] = [[], 0]
  for await (const chunk of req) {
    batch.push(chunk)
    bytes += chunk.length
    if (bytes < BATCH_BYTES) continue
    await file.writev(batch)
    ;[batch, bytes] = [[], 0]
  }
  if (bytes > 0) await file.writev(batch)
  await file.close()
}

const server = createServer(async (req, res) => {
  await take(req)
  res.writeHead(204).end()
})
server.listen(0, '127.0.0.1', () =>
  console.log(`localhost:${(server.address() as AddressInfo).port}`),
)
process.once('SIGTERM', () => process.exit(0))
