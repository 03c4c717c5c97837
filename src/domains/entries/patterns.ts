import { RE2JS, RE2JSSyntaxException } from 're2js'
import type { WorkBudget } from '../../database/query/work-budget.ts'
import { InvalidInput } from '../../errors.ts'
import { foldName } from '../../names.ts'
import { stepsOf } from './pattern-steps.ts'

/** A path as it is shown, and as paths compare, both without a slash at either end. */
export type Path = { path: string; pathKey: string }
/** What paths are held against, and what the pathKeys of all that match begin with. */
export type Pattern = { prefix: string; matches: (path: Path) => boolean }

/** The patterns of a filter, each compiled once in a request; throws InvalidInput, and QueryTooComplex where that takes too long. */
export const patternsOf = ({ pathGlob, pathRegex }: Written, { once }: WorkBudget): Pattern[] => [
  ...(pathGlob == null ? [] : [once(`glob ${pathGlob}`, () => globPattern(pathGlob))]),
  ...(pathRegex == null ? [] : [once(`regex ${pathRegex}`, () => regexPattern(pathRegex))]),
]
type Written = Partial<Record<'pathGlob' | 'pathRegex', string | null | undefined>>

const LONGEST = 1000
/** A regex of 1,000 plain characters has about as many; what counts to a thousand twice has more. */
const MOST_STEPS = 1500
/** What is counted before compiling may be more than what compiling makes of it. */
const MOST_COUNTED = 2 * MOST_STEPS

/**
 * A glob for whole paths, which compares as names do: * and ? stay within a name, ** is any number of folders, {a,b} is either,
 * a backslash takes what follows as it stands. Throws InvalidInput, with the place of the fault.
 */
export function globPattern(glob: string): Pattern {
  checkLength(glob, 'pathGlob')
  const { source, prefix } = regexOf(glob)
  const regex = compile(`^(?:${source})$`, 'pathGlob', RE2JS.DOTALL)
  return { prefix, matches: ({ pathKey }) => regex.test(pathKey) }
}

/**
 * A regex in the syntax of RE2, found anywhere in a path where ^ and $ do not hold it; case as written, both in NFC. Matches in
 * time linear to the path. Throws InvalidInput, with the place of the fault.
 */
export function regexPattern(written: string): Pattern {
  checkLength(written, 'pathRegex')
  const source = written.normalize('NFC')
  const regex = compile(source, 'pathRegex')
  const prefix = foldName(literalStart(source))
  return { prefix, matches: ({ path }) => regex.test(path.normalize('NFC')) }
}

function checkLength(pattern: string, field: string) {
  if (pattern.length > LONGEST) throw refusal(field, `at most ${LONGEST} characters`)
}

const refusal = (field: string, message: string) =>
  new InvalidInput({ path: ['filter', field], message })

/** People count from 1. */
const faultAt = (field: string, index: number, fault: string) =>
  refusal(field, `${fault}, at character ${index + 1}`)

const tokens = /\\.?|\*\*\/?|[*?{},]|[^*?{},\\]+/gsu
const wild: Record<string, string> = { '*': '[^/]*', '?': '[^/]', '**': '.*', '**/': '.*/' }

/** A glob as a regex for pathKeys, and the plain text that it begins with. */
function regexOf(glob: string): { source: string; prefix: string } {
  if (glob.startsWith('/')) throw faultAt('pathGlob', 0, 'paths here do not begin with a slash')
  const open: number[] = []
  let [source, prefix, isPlain] = ['', '', true]
  for (const { 0: token, index } of glob.matchAll(tokens)) {
    const plain = plainText(token, index, open.length > 0)
    isPlain &&= plain !== null
    if (isPlain) prefix += foldName(plain ?? '')
    if (token === '{') open.push(index)
    if (token === '}' && open.pop() === undefined)
      throw faultAt('pathGlob', index, 'there is no { for this }')
    source += plain === null ? special(glob, token, index) : RE2JS.quote(foldName(plain))
  }
  if (open.length > 0) throw faultAt('pathGlob', open.at(-1) ?? 0, 'there is no } for this {')
  return { source, prefix }
}

/** What stands for itself; null for what stands for something else. */
function plainText(token: string, index: number, isInBraces: boolean): string | null {
  if (token === '\\') throw faultAt('pathGlob', index, 'nothing follows the backslash')
  if (token.startsWith('\\')) return token.slice(1)
  if (token === ',') return isInBraces ? null : token
  return /^[*?{}]/.test(token) ? null : token
}

function special(glob: string, token: string, index: number): string {
  const beginsName = index === 0 || '/{,'.includes(glob[index - 1] ?? '')
  if (token === '**/' && beginsName) return '(?:[^/]+/)*'
  return wild[token] ?? { '{': '(?:', '}': ')', ',': '|' }[token] ?? ''
}

function compile(source: string, field: string, flags = 0): RE2JS {
  // To find that out by compiling takes seconds, and a gigabyte.
  if (stepsOf(source) > MOST_COUNTED) throw repeatsTooMuch(field)
  const regex = attempt(source, flags)
  if (regex instanceof RE2JSSyntaxException) {
    throw faultAt(field, placeOf(source, regex), regex.getDescription())
  }
  if (regex.programSize() <= MOST_STEPS) return regex
  throw repeatsTooMuch(field)
}

const repeatsTooMuch = (field: string) =>
  refusal(field, 'this repeats too much; write smaller counts')

function attempt(source: string, flags = 0): RE2JS | RE2JSSyntaxException {
  try {
    return RE2JS.compile(source, flags)
  } catch (error) {
    if (error instanceof RE2JSSyntaxException) return error
    throw error
  }
}

/** RE2 names the part at fault and not its place: of the places that it is at, the first up to which the regex has this fault. */
function placeOf(source: string, fault: RE2JSSyntaxException): number {
  const description = fault.getDescription()
  const part = description === 'unexpected )' ? ')' : (fault.getPattern() ?? '')
  if (part === '' || description === 'missing closing )') return source.length - 1
  const places = [...source.split('').keys()].filter((place) => source.startsWith(part, place))
  const isFaulty = (place: number) => {
    const beginning = source.slice(0, place + part.length)
    // Without the fault it is compiled, and cut off it may be read in another way.
    if (stepsOf(beginning) > MOST_COUNTED) return false
    const known = attempt(beginning)
    return known instanceof RE2JSSyntaxException && known.getDescription() === description
  }
  let [low, high] = [0, places.length - 1]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (isFaulty(places[middle] ?? 0)) high = middle
    else low = middle + 1
  }
  return places[low] ?? 0
}

/** The plain text that all paths must begin with for a regex to be found in them; empty where there is none, or no telling. */
function literalStart(source: string): string {
  const anchored = source.replace(/^\(\?i\)/, '')
  const literal = /^\^((?:[^\\^$.|?*+()[\]{}]|\\[^\p{L}\p{N}])*)([?*+{])?/u.exec(anchored)
  if (!literal || mayBeEither(anchored)) return ''
  const text = (literal[1] ?? '').replace(/\\(.)/gsu, '$1')
  const sure = literal[2] ? text.replace(/.$/su, '') : text
  // Its last character may become another one with a mark that follows in the path.
  return sure.endsWith('/') ? sure : sure.replace(/\P{M}?\p{M}*$/u, '')
}

/** Whether a | stands outside of all groups. Classes and quotations may hide one, or seem to: then it counts. */
function mayBeEither(source: string): boolean {
  const bare = source.replace(/\\./gs, '')
  if (!bare.includes('|')) return false
  if (bare.includes('[') || source.includes('\\Q')) return true
  let depth = 0
  for (const character of bare) {
    if (character === '|' && depth === 0) return true
    depth += character === '(' ? 1 : character === ')' ? -1 : 0
  }
  return false
}
