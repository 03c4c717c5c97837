import { parseArgs } from 'node:util'
import { rows } from './rows.ts'
import { heading, lineOf } from './table.ts'

// How fast, beside what: npm run bench -- [P1 P6 …] [--rounds 5]. Both sides take turns on the same machine, and the table has the
// middle of each: a ratio stays what it is where the machine is slow. It is Markdown, as the README has it.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '5' } },
})
const wanted = rows.filter(({ name }) => positionals.length === 0 || positionals.includes(name))

console.log(heading)
for (const { name, measure } of wanted) {
  for (const line of await measure(Number(values.rounds))) console.log(lineOf(name, line))
}
