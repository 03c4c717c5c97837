import { type AreaName, areas } from './areas.ts'

// Runs one area in its own process: node test/soak/area.ts <name> <seed> <until>. Sends its figures to the
// parent.

const [name, seed, until] = process.argv.slice(2)
const figures = await areas[name as AreaName]({ seed: Number(seed), until: Number(until) })
process.send?.(figures, () => process.disconnect())
