import { Server } from 'node:http'
import { flushCompileCache } from 'node:module'
import { patchBucket } from './kinds/bucket.ts'
import { patchDisk } from './kinds/disk.ts'
import type { Armed } from './kinds/kinds.ts'
import { arm, runAsRequest } from './kinds/points.ts'
import { patchPostgres } from './kinds/rows-postgres.ts'
import { patchSqlite } from './kinds/rows-sqlite.ts'

/*
 * Preloaded with `node --import`: patches the lowest-level calls of the server, so that a test can make one
 * of them fail. It is not part of the product. FAULTS arms a fault for the start; FAULTS_CLOCK moves the
 * clock ahead by this number of milliseconds.
 */

/** Longer than any lease, so that a restarted server finds the leases of the dead process expired. */
const DOWN_MS = 10_000
const { FAULTS, FAULTS_CLOCK = '0' } = process.env
let late = Number(FAULTS_CLOCK)

await patchDisk()
patchSqlite()
patchPostgres()
patchBucket()
markRequests()
moveClockAhead()
speedUpJobs()
if (FAULTS) arm(JSON.parse(FAULTS) as Armed)

/** Arms a fault, or disarms with null and moves the clock past all leases. The reply is the tally so far. */
process.on('message', (next: Armed | null) => {
  if (!next) late += DOWN_MS
  process.send?.(arm(next))
})
// Exits when the process that started it ends.
process.on('disconnect', () => process.exit(1))

function markRequests() {
  const { emit } = Server.prototype
  Server.prototype.emit = function (this: Server, ...args: any) {
    if (args[0] === 'listening') setImmediate(notifyListening)
    const pass = () => emit.apply(this, args)
    return args[0] === 'request' ? runAsRequest(pass) : pass()
  }
}

function notifyListening() {
  process.send?.('listening')
  // Saves the compile cache now, because a killed process does not save it.
  flushCompileCache()
}

function moveClockAhead() {
  const { now } = Date
  Date.now = () => now() + late
}

/** Makes the server poll its jobs at once instead of every second. */
function speedUpJobs() {
  const later = globalThis.setTimeout
  const hurried = (act: () => void, ms?: number, ...args: unknown[]) =>
    later(act, ms === 1000 ? 15 : ms, ...args)
  globalThis.setTimeout = Object.assign(hurried, later) as typeof setTimeout
}
