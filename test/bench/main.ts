import { parseArgs } from 'node:util'
import { rows } from './rows.ts'
import { heading, lineOf } from './table.ts'

// Compares the speed with other programs: npm run bench -- [P1 P6 …] [--rounds 5]. Both sides are measured in
// turns on the same machine, and the table shows the median of each, so that ratios hold on slow machines
// too. The output is the Markdown of the README.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '5' } },
})
const wanted = rows.filter(({ name }) => positionals.length === 0 || positionals.includes(name))

console.log(heading)
for (const { name, measure } of wanted) {
  for (const line of await measure(Number(values.rounds))) console.log(lineOf(name, line))
}
