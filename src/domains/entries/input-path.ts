import { DomainError } from '../../errors/domain-error.ts'
import { InvalidInput, type Issue } from '../../errors/input.ts'

/** Awaits `work` and prefixes the path of its domain error with `field`, such as ["folder", "path"]. */
export async function withInputPath<T>(field: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof InvalidInput) throw prefixIssues(field, error)
    throw error instanceof DomainError ? error.at(field, ...(error.path ?? [])) : error
  }
}

function prefixIssues(field: string, { issues }: InvalidInput): InvalidInput {
  const [first, ...rest] = issues.map((issue) => ({ ...issue, path: [field, ...issue.path] }))
  return new InvalidInput(first as Issue, ...rest)
}
