import fc from 'fast-check'

/** Changes, removes, repeats, moves or inserts up to four bytes or runs of bytes. */
export const mutateBytes = (valid: Buffer): fc.Arbitrary<Buffer> =>
  fc
    .array(
      fc.record({ how: fc.nat(4), at: fc.nat(1 << 20), to: fc.nat(1 << 20), byte: fc.nat(255) }),
      { maxLength: 4 },
    )
    .map((all) =>
      all.reduce((bytes: Buffer, { how, at, to, byte }) => {
        const [start = 0, end = 0] = [at % (bytes.length + 1), to % (bytes.length + 1)].sort(
          (a, b) => a - b,
        )
        const changed = Buffer.from(bytes)
        if (how === 0 && start < bytes.length) changed[start] = byte
        if (how === 0) return changed
        if (how === 1) return bytes.subarray(0, end)
        const some = bytes.subarray(start, Math.min(end, start + 1 + (byte % 64)))
        if (how === 2)
          return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + some.length)])
        if (how === 3) return Buffer.concat([bytes.subarray(0, end), some, bytes.subarray(end)])
        return Buffer.concat([bytes.subarray(0, start), Buffer.from([byte]), bytes.subarray(start)])
      }, valid),
    )
