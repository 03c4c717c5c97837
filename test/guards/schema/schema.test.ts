import { expect, test } from 'vitest'
import { printedSchema } from '../../../src/schema.ts'

test('schema.graphql matches the code (npm test -- -u writes it)', async () => {
  await expect(printedSchema).toMatchFileSnapshot('../../../schema.graphql')
})
