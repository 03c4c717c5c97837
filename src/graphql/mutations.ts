import type { InputRef, ObjectRef } from '@pothos/core'
import { type DomainError, Forbidden, InvalidInput, NotFound, StorageError } from '../errors.ts'
import { builder, type SchemaTypes } from './builder.ts'
import type { Context } from './context.ts'
import { clearLoaders } from './nodes.ts'

type ErrorClass = new (...args: never[]) => DomainError

type Mutation<Input, Payload> = {
  description: string
  input: InputRef<Input>
  payload: ObjectRef<SchemaTypes, Payload, Payload>
  /** Beyond NotFound, Forbidden and InvalidInput, which every mutation can answer. */
  errors?: ErrorClass[]
  resolve: (input: Input, context: Context) => Promise<Payload>
}

/** A mutation as all of them are: one input, and a nullable union of its payload and its errors. */
export function mutation<Input, Payload>(
  name: string,
  { description, input, payload, errors = [], resolve }: Mutation<Input, Payload>,
) {
  builder.mutationField(name, (t) =>
    t.field({
      type: payload,
      nullable: true,
      description,
      complexity: 10,
      errors: { types: [NotFound, Forbidden, InvalidInput, ...errors] },
      args: { input: t.arg({ type: input, required: true }) },
      // Pothos cannot see through the generics here; the option above ties resolve to its types.
      resolve: ((_: unknown, args: { input: Input }, context: Context) => {
        clearLoaders(context)
        return resolve(args.input, context).catch((error: unknown) => {
          throw told(error, args.input, context)
        })
      }) as never,
    }),
  )
}

/** What is not found points at where it was named; what a disk or bucket did is for the log, whatever the client is told. */
function told(error: unknown, input: unknown, { report }: Context): unknown {
  if (error instanceof StorageError && !error.isFull) report(error)
  if (error instanceof NotFound && !error.path) error.path = placeOf(error.id, input)
  return error
}

/** The keys that lead to `value` in an input, outermost first. */
function placeOf(value: string, input: unknown): string[] | null {
  if (typeof input !== 'object' || input === null) return null
  for (const [key, within] of Object.entries(input)) {
    if (within === value) return [key]
    const place = placeOf(value, within)
    if (place) return [key, ...place]
  }
  return null
}
