import { join } from 'node:path'

/** The folder that contains package.json, src and test. */
export const root = join(import.meta.dirname, '../..')
