import { crc32, deflateRawSync } from 'node:zlib'

export type Packed = {
  name: string
  bytes: Buffer
  deflated?: boolean
  /** What the records say, where it is not the truth. */
  lies?: Partial<
    Record<
      'crc' | 'size' | 'packed' | 'offset' | 'method' | 'flags' | 'attributes' | 'madeBy',
      number
    >
  >
  extra?: Buffer
}

/** A ZIP file as APPNOTE 4.3 has it, with whatever lies its members tell. */
export function zipOf(members: Packed[], { count = members.length, comment = '' } = {}): Buffer {
  const [locals, centrals]: [Buffer[], Buffer[]] = [[], []]
  let at = 0
  for (const member of members) {
    const local = localOf(member)
    centrals.push(centralOf(member, at))
    locals.push(local)
    at += local.length
  }
  const central = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(count & 0xffff, 8)
  end.writeUInt16LE(count & 0xffff, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(at, 16)
  end.writeUInt16LE(Buffer.byteLength(comment), 20)
  return Buffer.concat([...locals, central, end, Buffer.from(comment)])
}

const packedBytes = ({ bytes, deflated }: Packed) => (deflated ? deflateRawSync(bytes) : bytes)

function said(member: Packed) {
  const { bytes, deflated, lies = {} } = member
  const truth = {
    crc: crc32(bytes),
    size: bytes.length,
    packed: packedBytes(member).length,
    offset: 0,
  }
  return { ...truth, method: deflated ? 8 : 0, flags: 0x0800, attributes: 0, madeBy: 0, ...lies }
}

function localOf(member: Packed): Buffer {
  const name = Buffer.from(member.name)
  const { crc, size, packed, method, flags } = said(member)
  const head = Buffer.alloc(30)
  head.writeUInt32LE(0x04034b50, 0)
  head.writeUInt16LE(20, 4)
  head.writeUInt16LE(flags, 6)
  head.writeUInt16LE(method, 8)
  head.writeUInt32LE(crc >>> 0, 14)
  head.writeUInt32LE(packed >>> 0, 18)
  head.writeUInt32LE(size >>> 0, 22)
  head.writeUInt16LE(name.length & 0xffff, 26)
  return Buffer.concat([head, name, packedBytes(member)])
}

function centralOf(member: Packed, at: number): Buffer {
  const { extra = Buffer.alloc(0), lies } = member
  const name = Buffer.from(member.name)
  const { crc, size, packed, method, flags, attributes, madeBy } = said(member)
  const head = Buffer.alloc(46)
  head.writeUInt32LE(0x02014b50, 0)
  head.writeUInt16LE(madeBy << 8, 4)
  head.writeUInt16LE(flags, 8)
  head.writeUInt16LE(method, 10)
  head.writeUInt32LE(crc >>> 0, 16)
  head.writeUInt32LE(packed >>> 0, 20)
  head.writeUInt32LE(size >>> 0, 24)
  head.writeUInt16LE(name.length & 0xffff, 28)
  head.writeUInt16LE(extra.length, 30)
  head.writeUInt32LE(attributes >>> 0, 38)
  head.writeUInt32LE((lies?.offset ?? at) >>> 0, 42)
  return Buffer.concat([head, name, extra])
}
