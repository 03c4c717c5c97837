import { type AreaName, areas } from './areas.ts'

// One area in a process of its own: node test/soak/area.ts <name> <seed> <until>. Its figures go to who has forked it.

const [name, seed, until] = process.argv.slice(2)
const figures = await areas[name as AreaName]({ seed: Number(seed), until: Number(until) })
process.send?.(figures, () => process.disconnect())
