import { createReadStream } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

// A minimal download server: node:http and createReadStream. GET / sends the file given as the first
// argument, with the size given as the second; supports Range: bytes=FIRST-LAST.

const [path = '', size] = process.argv.slice(2)

const server = createServer((req, res) => {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range ?? '') ?? []
  const [start, end] = [Number(first ?? 0), Number(last ?? Number(size) - 1)]
  res.writeHead(first ? 206 : 200, {
    'Content-Length': end - start + 1,
    ...(first && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
  })
  createReadStream(path, { start, end }).pipe(res)
})
server.listen(0, '127.0.0.1', () =>
  console.log(`localhost:${(server.address() as AddressInfo).port}`),
)
process.once('SIGTERM', () => process.exit(0))
