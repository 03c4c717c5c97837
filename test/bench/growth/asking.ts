import { inTurns } from '../turns.ts'
import { bodyOf, openLine, type Request } from '../wire.ts'

/** What is answered, without errors. */
export async function answerTo(request: Request): Promise<any> {
  const { data, errors } = JSON.parse(await bodyOf(request))
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}

type Questions = Record<string, readonly Request[]>

/**
 * The milliseconds in the middle of so many answers to each of the questions, which take turns, one by one; where there are several
 * of a name, also these. Nothing is counted before each was answered: what was just read is still at hand.
 */
export async function millisecondsInTurns<const Q extends Questions>(times: number, questions: Q) {
  using opened = new DisposableStack()
  const stories: Record<string, () => Promise<number>> = {}
  for (const [name, requests] of Object.entries(questions)) {
    const lines = await Promise.all(requests.map(openLine))
    for (const line of lines) await opened.use(line).ask()
    let asked = 0
    stories[name] = () => millisecondsOf(() => lines[asked++ % lines.length]?.ask())
  }
  return (await inTurns(times, stories)) as { [name in keyof Q]: number }
}

async function millisecondsOf(ask: () => unknown) {
  const from = performance.now()
  await ask()
  return performance.now() - from
}
