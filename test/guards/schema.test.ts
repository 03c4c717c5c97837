import { expect, test } from 'vitest'
import { printedSchema } from '../../src/schema.ts'

test('schema.graphql is what the code serves (npm test -- -u writes it)', async () => {
  await expect(printedSchema).toMatchFileSnapshot('../../schema.graphql')
})
