/** One line of the table. */
export type Line = {
  /** What was measured. */
  work: string
  /** The results of Holdall and of the other side, with units. */
  ours: string
  theirs: string
  /** Ours divided by theirs. */
  ratio: number
  target: Target
  /** The peak memory of Holdall in MB. */
  megabytes?: number
}
export type Target = { atLeast: number } | { atMost: number }

/** A row of the plan, such as P1. `rounds`: how often both sides are measured, in turns. */
export type Row = {
  name: `P${number}`
  measure: (rounds: number) => Promise<Line[]>
}

export const heading = `| # | work | Holdall | against | ratio | target | memory |
| --- | --- | --- | --- | --- | --- | --- |`

export function lineOf(name: string, line: Line): string {
  const { work, ours, theirs, ratio, target, megabytes } = line
  const memory = megabytes === undefined ? '' : `${megabytes.toFixed(0)} MB`
  const verdict = isMet(line) ? '' : ' missed'
  return `| ${name} | ${work} | ${ours} | ${theirs} | ${ratio.toFixed(2)} × | ${formatTarget(target)}${verdict} | ${memory} |`
}

const isMet = ({ ratio, target }: Line) =>
  'atLeast' in target ? ratio >= target.atLeast : ratio <= target.atMost

const formatTarget = (target: Target) =>
  'atLeast' in target ? `≥ ${target.atLeast} ×` : `≤ ${target.atMost} ×`
