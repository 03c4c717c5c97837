import { Server } from 'node:http'
import { flushCompileCache } from 'node:module'
import { patchBucket } from './bucket.ts'
import { patchDisk } from './disk.ts'
import type { Armed } from './kinds.ts'
import { arm, onBehalfOfRequest } from './points.ts'
import { patchPostgres } from './rows-postgres.ts'
import { patchSqlite } from './rows-sqlite.ts'

/*
 * For `node --import`: the server as it is, with its lowest calls patched, so that whoever started it can have one of them fail. It is
 * no part of the product, which knows nothing of it. FAULTS says what befalls a step of the start, FAULTS_CLOCK how many milliseconds
 * later it is than it is.
 */

/** More than any lease: whoever comes back finds those of the dead over. */
const DOWN_MS = 10_000
const { FAULTS, FAULTS_CLOCK = '0' } = process.env
let late = Number(FAULTS_CLOCK)

await patchDisk()
patchSqlite()
patchPostgres()
patchBucket()
markRequests()
putClockForward()
hurryJobs()
if (FAULTS) arm(JSON.parse(FAULTS) as Armed)

/** null disarms; what was counted until now is the answer. */
process.on('message', (next: Armed | null) => {
  if (!next) late += DOWN_MS
  process.send?.(arm(next))
})
// What starts it does not end with the one who started it.
process.on('disconnect', () => process.exit(1))

function markRequests() {
  const { emit } = Server.prototype
  Server.prototype.emit = function (this: Server, ...args: any) {
    if (args[0] === 'listening') setImmediate(tellThatItListens)
    const pass = () => emit.apply(this, args)
    return args[0] === 'request' ? onBehalfOfRequest(pass) : pass()
  }
}

function tellThatItListens() {
  process.send?.('listening')
  // Of a process that is killed nothing would be left to begin faster with.
  flushCompileCache()
}

function putClockForward() {
  const { now } = Date
  Date.now = () => now() + late
}

/** The house looks for its own jobs each second; here as soon as there may be one. */
function hurryJobs() {
  const later = globalThis.setTimeout
  const hurried = (act: () => void, ms?: number, ...args: unknown[]) =>
    later(act, ms === 1000 ? 15 : ms, ...args)
  globalThis.setTimeout = Object.assign(hurried, later) as typeof setTimeout
}
