import type { InputRef, ObjectRef } from '@pothos/core'
import { type DomainError, Forbidden, InvalidInput, NotFound } from '../errors.ts'
import { builder, type SchemaTypes } from './builder.ts'
import type { Context } from './context.ts'

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
      resolve: ((_: unknown, args: { input: Input }, context: Context) =>
        resolve(args.input, context)) as never,
    }),
  )
}
