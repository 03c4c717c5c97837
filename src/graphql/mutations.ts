import type { InputRef, ObjectRef } from '@pothos/core'
import { Forbidden, NotFound } from '../errors/access.ts'
import { StorageError } from '../errors/availability.ts'
import type { DomainError } from '../errors/domain-error.ts'
import { InvalidInput } from '../errors/input.ts'
import { builder, type SchemaTypes } from './builder.ts'
import type { Context } from './context.ts'
import { clearLoaders } from './nodes.ts'

type ErrorClass = new (...args: never[]) => DomainError

export type Mutation<Input, Payload> = {
  description: string
  input: InputRef<Input>
  payload: ObjectRef<SchemaTypes, Payload, Payload>
  /** Errors besides NotFound, Forbidden and InvalidInput, which every mutation can return. */
  errors?: ErrorClass[]
  resolve: (input: Input, context: Context) => Promise<Payload>
}

/** Declares a mutation with one input, which returns a nullable union of its payload and its errors. */
export function mutation<Input, Payload>(
  name: string,
  { description, input, payload, errors = [], resolve }: Mutation<Input, Payload>,
) {
  describeType(input, `Input of the ${name} mutation.`)
  describeType(payload, `Payload of the ${name} mutation.`)
  builder.mutationField(name, (t) =>
    t.field({
      type: payload,
      nullable: true,
      description,
      complexity: 10,
      errors: {
        types: [NotFound, Forbidden, InvalidInput, ...errors],
        union: { description: `Result of the ${name} mutation: its payload, or an error.` },
      },
      args: {
        input: t.arg({ type: input, required: true, description: 'The input of the mutation.' }),
      },
      // Pothos cannot infer the generics here; Mutation<Input, Payload> ties resolve to its types.
      resolve: ((_: unknown, args: { input: Input }, context: Context) => {
        clearLoaders(context)
        return resolve(args.input, context).catch((error: unknown) => {
          throw withInputPath(error, args.input, context)
        })
      }) as never,
    }),
  )
}

type TypeRef = InputRef<unknown> | ObjectRef<SchemaTypes, unknown>

/** Sets the description of a type that has none of its own. */
function describeType(ref: unknown, description: string) {
  builder.configStore.onTypeConfig(ref as TypeRef as never, (config) => {
    config.description ??= description
  })
}

/** Returns the error with the input path of an id that was not found; logs the details of storage errors. */
function withInputPath(error: unknown, input: unknown, { report }: Context): unknown {
  if (error instanceof StorageError && !error.isFull) report(error)
  if (error instanceof NotFound && !error.path) error.path = findPath(error.id, input)
  return error
}

/** Returns the keys that lead to `value` in an input, outermost first, or null if it does not occur. */
function findPath(value: string, input: unknown): string[] | null {
  if (typeof input !== 'object' || input === null) return null
  for (const [key, child] of Object.entries(input)) {
    if (child === value) return [key]
    const path = findPath(value, child)
    if (path) return [key, ...path]
  }
  return null
}
