// Preloaded into the server: shifts its clock by CLOCK_AHEAD_MS milliseconds (negative: behind).

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
