import { setTimeout as wait } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'

// A thread of its own, so that what its owner is busy with is not taken for the server's slowness: four connections ask one query,
// again and again with a pause, until they are told to end; then the milliseconds that each answer took.

export type Asking = { url: string; token: string; query: string }

const CONNECTIONS = 4
const PAUSE_MS = 25

const { url, token, query } = workerData as Asking
const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
const body = JSON.stringify({ query })
const took: number[] = []
let isOver = false
parentPort?.once('message', () => {
  isOver = true
})

async function ask() {
  const from = performance.now()
  const answer = await fetch(`${url}/graphql`, { method: 'POST', headers, body })
  const { errors } = (await answer.json()) as { errors?: unknown }
  if (errors || !answer.ok) throw new Error(`${answer.status} ${JSON.stringify(errors)}`)
  took.push(performance.now() - from)
}

async function connection() {
  while (!isOver) {
    await ask()
    await wait(PAUSE_MS)
  }
}

await Promise.all(Array.from({ length: CONNECTIONS }, connection))
parentPort?.postMessage(took)
