import { type DocumentNode, type GraphQLError, visit } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { Config } from '../../config.ts'
import { Forbidden } from '../../errors.ts'
import type { RequestContext } from '../request-context.ts'

/** What graphql suggests: names in quotes, one or several, anywhere in its message. */
const SUGGESTION = / Did you mean [^?]*\?/g
/** More of a message is not answered anyway. */
const MAX_MESSAGE_LENGTH = 2000

/** Hides the schema where INTROSPECTION says so: introspection is Forbidden, and errors suggest no names. */
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
        if (hidden.has(context) && result && !(result instanceof Error)) refuseIntrospection(result)
      },
    onResultProcess({ result, serverContext }) {
      if (!hidden.has(serverContext) || Array.isArray(result) || Symbol.asyncIterator in result)
        return
      for (const error of (result.errors ?? []) as GraphQLError[]) hideSuggestion(error)
    },
  }
}

/** A token that opens nothing is refused later, as everywhere. */
const mayIntrospect = (
  allowed: Config['introspection'],
  { scope }: RequestContext,
): Promise<boolean> =>
  allowed === 'off'
    ? Promise.resolve(false)
    : scope().then(
        ({ viewer }) => viewer !== null,
        () => false,
      )

/** Each time anew, for a document is parsed once for all who send it. */
function refuseIntrospection(document: DocumentNode) {
  visit(document, {
    Field({ name: { value } }) {
      if (value !== '__schema' && value !== '__type') return
      throw new Forbidden({ message: 'introspection is switched off here (INTROSPECTION)' })
    },
  })
}

function hideSuggestion(error: GraphQLError) {
  error.message = error.message.slice(0, MAX_MESSAGE_LENGTH).replace(SUGGESTION, '')
}
