import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'

/** Some thousand bytes that are told from others; the same for the same name. */
export function bytesOf(name: string): Buffer {
  const word = createHash('sha256').update(name).digest()
  return Buffer.concat(Array.from({ length: 100 + (word[0] ?? 0) }, () => word))
}

/** A ZIP of files that are stored as they are (APPNOTE 4.3.6). */
export function zipOf(files: Record<string, Buffer>): Buffer {
  const [members, records]: [Buffer[], Buffer[]] = [[], []]
  let offset = 0
  for (const [name, bytes] of Object.entries(files)) {
    const facts = factsOf(name, bytes)
    const place = Buffer.alloc(14)
    place.writeUInt32LE(offset, 10)
    records.push(signature(0x02014b50), short(20), facts, place, Buffer.from(name))
    const member = Buffer.concat([signature(0x04034b50), facts, Buffer.from(name), bytes])
    members.push(member)
    offset += member.length
  }
  const central = Buffer.concat(records)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(members.length, 8)
  end.writeUInt16LE(members.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...members, central, end])
}

/** What the header and the central record of a member have in common. */
function factsOf(name: string, bytes: Buffer): Buffer {
  const facts = Buffer.alloc(26)
  facts.writeUInt16LE(20, 0)
  facts.writeUInt16LE(0x21, 8)
  facts.writeUInt32LE(crc32(bytes), 10)
  facts.writeUInt32LE(bytes.length, 14)
  facts.writeUInt32LE(bytes.length, 18)
  facts.writeUInt16LE(Buffer.byteLength(name), 22)
  return facts
}

function signature(value: number) {
  const four = Buffer.alloc(4)
  four.writeUInt32LE(value)
  return four
}

function short(value: number) {
  const two = Buffer.alloc(2)
  two.writeUInt16LE(value)
  return two
}
