import { type DocumentNode, type GraphQLError, visit } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { Config } from '../../config/config.ts'
import { Forbidden } from '../../errors/access.ts'
import type { RequestContext } from '../request-context.ts'

/** A suggestion of names that graphql adds to an error message. */
const SUGGESTION = / Did you mean [^?]*\?/g
/** Limits the text that is searched. Longer messages are truncated anyway. */
const MAX_MESSAGE_LENGTH = 2000

/** Hides the schema as INTROSPECTION requires: introspection is Forbidden, and errors suggest no names. */
export function useIntrospection(allowed: Config['introspection']): Plugin<RequestContext> {
  if (allowed === 'on') return {}
  const hidden = new WeakSet<object>()
  return {
    async onParams({ context }) {
      if (!(await mayIntrospect(allowed, context as unknown as RequestContext))) hidden.add(context)
    },
    onParse:
      ({ context }) =>
      ({ result }) => {
        if (hidden.has(context) && result && !(result instanceof Error))
          assertNoIntrospection(result)
      },
    onResultProcess({ result, serverContext }) {
      if (!hidden.has(serverContext) || Array.isArray(result) || Symbol.asyncIterator in result)
        return
      for (const error of (result.errors ?? []) as GraphQLError[]) hideSuggestion(error)
    },
  }
}

/** An invalid token counts as no token here and is rejected later. */
const mayIntrospect = (
  allowed: Config['introspection'],
  { authenticate }: RequestContext,
): Promise<boolean> =>
  allowed === 'off'
    ? Promise.resolve(false)
    : authenticate().then(
        ({ viewer }) => viewer !== null,
        () => false,
      )

/** Runs for every request, because parsed documents are cached across requests. */
function assertNoIntrospection(document: DocumentNode) {
  visit(document, {
    Field({ name: { value } }) {
      if (value !== '__schema' && value !== '__type') return
      throw new Forbidden({ message: 'introspection is disabled (INTROSPECTION)' })
    },
  })
}

function hideSuggestion(error: GraphQLError) {
  error.message = error.message.slice(0, MAX_MESSAGE_LENGTH).replace(SUGGESTION, '')
}
