import { defineConfig } from 'vitest/config'
import { SeedsReporter } from './support/seeds-reporter.ts'

export default defineConfig({
  // Without this Vite loads a second copy of graphql and its types are strangers to Pothos's.
  ssr: { resolve: { conditions: ['module-sync', 'node', 'default'] } },
  test: {
    dir: import.meta.dirname,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ['default', new SeedsReporter()],
  },
})
