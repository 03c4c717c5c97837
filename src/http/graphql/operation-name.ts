import { type DocumentNode, getOperationAST, Kind, type SelectionNode } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { setOperation } from '../../log.ts'

const MAX_LENGTH = 100

/**
 * Adds the operation to the log lines of a request: its name, or its root fields if it has none. Both
 * come from the parsed document, so they consist of letters, digits and underscores.
 */
export function useOperationName(): Plugin {
  return {
    onParse:
      ({ context }) =>
      ({ result }) => {
        const { params } = context as { params?: { operationName?: string | null } }
        if (!result || result instanceof Error) return
        const name = nameOf(result, params?.operationName)
        if (name) setOperation(truncate(name))
      },
  }
}

function nameOf(document: DocumentNode, requested?: string | null): string | undefined {
  const operation = getOperationAST(document, requested)
  return operation?.name?.value ?? operation?.selectionSet.selections.map(rootName).join(', ')
}

function rootName(selection: SelectionNode): string {
  if (selection.kind === Kind.INLINE_FRAGMENT)
    return selection.selectionSet.selections.map(rootName).join(', ')
  return selection.kind === Kind.FIELD ? selection.name.value : `...${selection.name.value}`
}

const truncate = (text: string) =>
  text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text
