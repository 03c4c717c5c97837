import { fork } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import type { AreaName, Figures } from './areas.ts'

// Runs the randomised tests of `npm test` for a longer time: npm run soak -- [minutes] [seed]. Runs pressure
// alone first, then the other areas two at a time. Prints what was done and exits with 1 after a finding; its
// seed repeats it.

const minutes = Number(process.argv[2] ?? 30)
const seed = Number(process.argv[3] ?? randomInt(2 ** 31))
const began = Date.now()
const end = began + minutes * 60_000
const lanes: AreaName[][] = [
  ['fuzz', 'history'],
  ['model', 'fault points', 'power loss'],
]

console.log(`soak: ${minutes} minutes, seed ${seed}`)
await run('pressure', end)
await Promise.all(lanes.map(runInTurns))
console.log(`\nsoak: ${((Date.now() - began) / 60_000).toFixed(1)} minutes`)

/** Divides the remaining time equally. */
async function runInTurns(names: AreaName[]) {
  for (const [at, name] of names.entries()) {
    const now = Date.now()
    await run(name, now + (end - now) / (names.length - at))
  }
}

async function run(name: AreaName, until: number) {
  const from = Date.now()
  const child = fork(new URL('area.ts', import.meta.url), [name, String(seed), String(until)])
  let figures: Figures | undefined
  child.on('message', (message: Figures) => {
    figures = message
  })
  const [code] = await once(child, 'exit')
  if (code === 0 && figures) return print(name, figures, Date.now() - from)
  console.log(`\n${name}: a finding, or a crash (exit code ${code}); seed ${seed}`)
  process.exitCode = 1
}

function print(name: string, figures: Figures, ms: number) {
  console.log(`\n${name} (${(ms / 60_000).toFixed(1)} minutes)`)
  for (const [what, figure] of Object.entries(figures)) {
    console.log(`  ${what.padEnd(60)} ${figure.toLocaleString('en').padStart(14)}`)
  }
}
