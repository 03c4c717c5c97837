import { createServer } from 'node:http'
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'
import { openApp } from '../../../src/app.ts'
import { readConfig } from '../../../src/config/config.ts'
import { createHttpServer } from '../../../src/http/server.ts'

// Runs Holdall for GraphQL and, in the same process, an unmodified @tus/server with @tus/file-store for
// uploads: into the directory given as the first argument, on the port given as the second.

const [directory = '', port] = process.argv.slice(2)
const tus = new Server({ path: '/files', datastore: new FileStore({ directory }) })
const uploads = createServer((req, res) => void tus.handle(req, res))
uploads.listen(Number(port), '127.0.0.1')
const config = readConfig(process.env)
const holdall = createHttpServer(await openApp(config))
console.log(`localhost:${await holdall.listen(0, config.host)}`)
process.once('SIGTERM', () => process.exit(0))
