/** For `node --import`: the server with a clock that is CLOCK_OFFSET_MS ahead of the one of its machine. */
const offset = Number(process.env.CLOCK_OFFSET_MS)
const { now } = Date
Date.now = () => now() + offset
