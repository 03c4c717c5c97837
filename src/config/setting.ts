import { z } from 'zod'

/** A setting: how its environment variable is documented, checked and parsed. */
export type Setting<T> = {
  /** What the setting does, as documented in docs/configuration.md. */
  description: string
  /** The default value, as documented in docs/configuration.md. */
  default: string
  /** Completes "it must be …" in the error message. */
  expected: string
  schema: z.ZodType<T>
  /** Whether the value must not be shown in messages. */
  secret?: true
}

export const setting = <T>(of: Setting<T>) => of

/** Parses a whole number from `from` to `to`, both inclusive. */
export const wholeNumber = (from: number, to: number) =>
  z.string().regex(/^\d+$/).transform(Number).pipe(z.int().min(from).max(to))

/** Parses true and false. */
export const trueOrFalse = z.enum(['true', 'false']).transform((word) => word === 'true')

/** Parses a whole number from 1 to `to`, or off, which is null: no limit. */
export const limitOrOff = (to: number) =>
  z
    .literal('off')
    .transform(() => null)
    .or(wholeNumber(1, to))

/** Parses items that are separated by commas. */
export const listOf = <T>(item: z.ZodType<T, string>) =>
  z
    .string()
    .transform((list) => list.split(',').map((item) => item.trim()))
    .pipe(z.array(item))

/** The maximum of GraphQL's Int, the type in which these values are published. */
export const MAX_INT = 2_147_483_647

/** A token of characters that an Authorization header can contain, long enough not to be guessed. */
export const bearerToken = z.string().regex(/^[\w.~+/-]{20,200}$/)

const httpUrl = z.url({ protocol: /^https?$/ })
/** Parses an HTTP URL without ? and #, and removes trailing slashes. */
export const publicUrl = httpUrl.regex(/^[^?#]+$/).transform((url) => url.replace(/\/+$/, ''))
