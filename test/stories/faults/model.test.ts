import { expect, onTestFinished, test } from 'vitest'
import { runRandomWalk } from '../../model/walk.ts'
import { newDatabase } from '../../support/databases.ts'

const { MODEL_SEED, MODEL_OPERATIONS } = process.env
/** MODEL_SEED=… repeats a run; MODEL_OPERATIONS=… makes it longer. */
const seed = Number(MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31))
const operations = Number(MODEL_OPERATIONS ?? 500)

test('F1, F2: after random operations interrupted by kill -9, the state equals that of a model', {
  timeout: 60_000 + operations * 200,
}, async () => {
  const database = await newDatabase()
  onTestFinished(() => database[Symbol.asyncDispose]())
  const often = { killEvery: 170, compareEvery: 125 }
  const figures = await runRandomWalk({ seed, operations, ...often }, database.env)
  expect(figures).toMatchObject({ operations })
})
