import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { S3Store } from '@tus/s3-store'
import { Server } from '@tus/server'

// An unmodified @tus/server with @tus/s3-store, into the bucket of S3_ENDPOINT and S3_BUCKET.

const { S3_ENDPOINT: endpoint = '', S3_BUCKET: bucket = '' } = process.env
const s3ClientConfig = { bucket, endpoint, region: 'us-east-1', forcePathStyle: true }
const tus = new Server({ path: '/files', datastore: new S3Store({ s3ClientConfig }) })
const server = createServer((req, res) => void tus.handle(req, res))
server.listen(0, '127.0.0.1', () =>
  console.log(`localhost:${(server.address() as AddressInfo).port}`),
)
process.once('SIGTERM', () => process.exit(0))
