/** One line of the table. */
export type Line = {
  /** What was done. */
  work: string
  /** What Holdall did, and what it is held against, with their units. */
  ours: string
  theirs: string
  /** Ours by theirs. */
  ratio: number
  target: Target
  /** The most memory that Holdall had, in MB. */
  megabytes?: number
}
export type Target = { atLeast: number } | { atMost: number }

/** A row of the plan: P1 and so on. `rounds`: how often both sides are measured, in turns. */
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
  return `| ${name} | ${work} | ${ours} | ${theirs} | ${ratio.toFixed(2)} × | ${worded(target)}${verdict} | ${memory} |`
}

const isMet = ({ ratio, target }: Line) =>
  'atLeast' in target ? ratio >= target.atLeast : ratio <= target.atMost

const worded = (target: Target) =>
  'atLeast' in target ? `≥ ${target.atLeast} ×` : `≤ ${target.atMost} ×`
