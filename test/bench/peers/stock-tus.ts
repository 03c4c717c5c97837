import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

// An unmodified @tus/server with @tus/file-store, into the directory given as the first argument.

const [directory = ''] = process.argv.slice(2)
const tus = new Server({ path: '/files', datastore: new FileStore({ directory }) })
const server = createServer((req, res) => void tus.handle(req, res))
server.listen(0, '127.0.0.1', () =>
  console.log(`localhost:${(server.address() as AddressInfo).port}`),
)
process.once('SIGTERM', () => process.exit(0))
