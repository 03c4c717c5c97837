// Loaded before the server: its clock is so many milliseconds ahead (or behind, where it is negative) of all others.

const aheadMs = Number(process.env.CLOCK_AHEAD_MS ?? 0)
const { now } = Date
const RealDate = Date

if (aheadMs !== 0) {
  class SkewedDate extends RealDate {
    constructor(...args: []) {
      if (args.length === 0) super(now() + aheadMs)
      else super(...args)
    }
    static override now = () => now() + aheadMs
  }
  globalThis.Date = SkewedDate as DateConstructor
}
