import { setTimeout as wait } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'

// Runs in its own thread, so that work of the main thread does not count as server latency. Four connections
// repeat one query with a pause until a message arrives; then the thread posts the latency of each response
// in milliseconds.

export type LoadOptions = { url: string; token: string; query: string }

const CONNECTIONS = 4
const PAUSE_MS = 25

const { url, token, query } = workerData as LoadOptions
const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
const body = JSON.stringify({ query })
const took: number[] = []
let isOver = false
parentPort?.once('message', () => {
  isOver = true
})

async function sendQuery() {
  const from = performance.now()
  const answer = await fetch(`${url}/graphql`, { method: 'POST', headers, body })
  const { errors } = (await answer.json()) as { errors?: unknown }
  if (errors || !answer.ok) throw new Error(`${answer.status} ${JSON.stringify(errors)}`)
  took.push(performance.now() - from)
}

async function connection() {
  while (!isOver) {
    await sendQuery()
    await wait(PAUSE_MS)
  }
}

await Promise.all(Array.from({ length: CONNECTIONS }, connection))
parentPort?.postMessage(took)
