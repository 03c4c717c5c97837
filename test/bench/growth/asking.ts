import { measureInTurns } from '../turns.ts'
import { bodyOf, openLine, type Request } from '../wire.ts'

/** Returns the data of a response; throws if it has errors. */
export async function queryData(request: Request): Promise<any> {
  const { data, errors } = JSON.parse(await bodyOf(request))
  if (errors) throw new Error(JSON.stringify(errors))
  return data
}

type Questions = Record<string, readonly Request[]>

/**
 * Returns the median latency in ms of `times` requests for each of the questions, measured in turns; several
 * requests of one name rotate. Each request is sent once before, so that caches are warm.
 */
export async function medianMilliseconds<const Q extends Questions>(times: number, questions: Q) {
  using opened = new DisposableStack()
  const tasks: Record<string, () => Promise<number>> = {}
  for (const [name, requests] of Object.entries(questions)) {
    const lines = await Promise.all(requests.map(openLine))
    for (const line of lines) await opened.use(line).send()
    let sent = 0
    tasks[name] = () => millisecondsOf(() => lines[sent++ % lines.length]?.send())
  }
  return (await measureInTurns(times, tasks)) as { [name in keyof Q]: number }
}

async function millisecondsOf(send: () => unknown) {
  const from = performance.now()
  await send()
  return performance.now() - from
}
