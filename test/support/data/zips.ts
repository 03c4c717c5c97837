import { crc32, deflateRawSync } from 'node:zlib'
import type { TestServer } from '../servers/test-server.ts'

/** A member of a ZIP file to write. Omitted fields get correct values. */
export type Member = {
  name: string | Uint8Array
  bytes?: string | Uint8Array
  /** Deflates the bytes instead of storing them. */
  deflate?: boolean
  /** False values for the central record. */
  size?: number
  crc?: number
  offset?: number
  flags?: number
  method?: number
  /** The Unix mode, for example 0o120777 for a link. */
  mode?: number
}

/**
 * Returns a ZIP file with exactly these records. `count` is the number of members in its end record.
 */
export function zipOf(members: Member[], { count }: { count?: number } = {}): Buffer {
  const [parts, records]: [Buffer[], Buffer[]] = [[], []]
  let offset = 0
  for (const member of members) {
    const { local, central } = recordsOf(member, offset)
    parts.push(local)
    records.push(central)
    offset += local.length
  }
  const directory = Buffer.concat(records)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(count ?? members.length, 8)
  end.writeUInt16LE(count ?? members.length, 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, directory, end])
}

function recordsOf(member: Member, at: number) {
  const name = Buffer.from(member.name)
  const bytes = Buffer.from(member.bytes ?? '')
  const packed = member.deflate ? deflateRawSync(bytes) : bytes
  const fields = Buffer.alloc(26)
  fields.writeUInt16LE(20, 0)
  fields.writeUInt16LE(member.flags ?? 0x0800, 2)
  fields.writeUInt16LE(member.method ?? (member.deflate ? 8 : 0), 4)
  fields.writeUInt32LE(member.crc ?? crc32(bytes), 10)
  fields.writeUInt32LE(packed.length, 14)
  fields.writeUInt32LE(member.size ?? bytes.length, 18)
  fields.writeUInt16LE(name.length, 22)
  const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, name, packed])
  const more = Buffer.alloc(14)
  more.writeUInt32LE(((member.mode ?? 0o100644) << 16) >>> 0, 6)
  more.writeUInt32LE(member.offset ?? at, 10)
  const madeBy = Buffer.from([20, 3])
  const central = Buffer.concat([Buffer.from('PK\x01\x02'), madeBy, fields, more, name])
  return { local, central }
}

/** Downloads the archive of a folder by its signed link. */
export async function archiveOf(holdall: TestServer, folderId: string): Promise<Buffer> {
  const query = 'query ($id: ID!) { node(id: $id) { ... on Folder { archiveUrl { url } } } }'
  const { node } = await holdall.ask(query, { id: folderId })
  const response = await holdall.http(node.archiveUrl.url, { token: null })
  return Buffer.from(await response.arrayBuffer())
}
