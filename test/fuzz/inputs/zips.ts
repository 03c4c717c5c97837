import { crc32, deflateRawSync } from 'node:zlib'

export type ZipMember = {
  name: string
  bytes: Buffer
  deflated?: boolean
  /** Wrong values for the fields of the headers. */
  overrides?: Partial<
    Record<
      'crc' | 'size' | 'packed' | 'offset' | 'method' | 'flags' | 'attributes' | 'madeBy',
      number
    >
  >
  extra?: Buffer
}

/** Builds a ZIP file (APPNOTE 4.3) with the overrides of its members. */
export function zipOf(members: ZipMember[], { count = members.length, comment = '' } = {}): Buffer {
  const [locals, centrals]: [Buffer[], Buffer[]] = [[], []]
  let position = 0
  for (const member of members) {
    const local = localOf(member)
    centrals.push(centralOf(member, position))
    locals.push(local)
    position += local.length
  }
  const central = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(count & 0xffff, 8)
  end.writeUInt16LE(count & 0xffff, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(position, 16)
  end.writeUInt16LE(Buffer.byteLength(comment), 20)
  return Buffer.concat([...locals, central, end, Buffer.from(comment)])
}

const packedBytes = ({ bytes, deflated }: ZipMember) => (deflated ? deflateRawSync(bytes) : bytes)

function headerFields(member: ZipMember) {
  const { bytes, deflated, overrides = {} } = member
  const actual = {
    crc: crc32(bytes),
    size: bytes.length,
    packed: packedBytes(member).length,
    offset: 0,
  }
  return {
    ...actual,
    method: deflated ? 8 : 0,
    flags: 0x0800,
    attributes: 0,
    madeBy: 0,
    ...overrides,
  }
}

function localOf(member: ZipMember): Buffer {
  const name = Buffer.from(member.name)
  const { crc, size, packed, method, flags } = headerFields(member)
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

function centralOf(member: ZipMember, position: number): Buffer {
  const { extra = Buffer.alloc(0), overrides } = member
  const name = Buffer.from(member.name)
  const { crc, size, packed, method, flags, attributes, madeBy } = headerFields(member)
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
  head.writeUInt32LE((overrides?.offset ?? position) >>> 0, 42)
  return Buffer.concat([head, name, extra])
}
