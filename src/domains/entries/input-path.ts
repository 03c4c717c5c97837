import { DomainError, InvalidInput, type Issue } from '../../errors.ts'

/** Awaits what a field of the input asks for. Where that fails, the error says in which field: ["destination", "path"]. */
export async function withInputPath<T>(field: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof InvalidInput) throw within(field, error)
    throw error instanceof DomainError ? error.at(field, ...(error.path ?? [])) : error
  }
}

function within(field: string, { issues }: InvalidInput): InvalidInput {
  const [first, ...rest] = issues.map((issue) => ({ ...issue, path: [field, ...issue.path] }))
  return new InvalidInput(first as Issue, ...rest)
}
