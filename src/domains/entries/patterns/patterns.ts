import { RE2JS, RE2JSSyntaxException } from 're2js'
import type { WorkBudget } from '../../../database/query/work-budget.ts'
import { InvalidInput } from '../../../errors/input.ts'
import { foldName } from '../../../names.ts'
import { countSteps } from './pattern-steps.ts'

/** A path as displayed and the key by which it is compared, both without leading and trailing slashes. */
export type Path = { path: string; pathKey: string }
/** A predicate for paths, and a prefix of the pathKey of every path that matches. */
export type Pattern = { prefix: string; matches: (path: Path) => boolean }

/**
 * Compiles the patterns of a filter, each once per request. Throws InvalidInput for an invalid pattern and
 * QueryTooComplex if compiling takes too long.
 */
export const compilePatterns = (
  { pathGlob, pathRegex }: PatternSources,
  { once }: WorkBudget,
): Pattern[] => [
  ...(pathGlob == null ? [] : [once(`glob ${pathGlob}`, () => globPattern(pathGlob))]),
  ...(pathRegex == null ? [] : [once(`regex ${pathRegex}`, () => regexPattern(pathRegex))]),
]
type PatternSources = Partial<Record<'pathGlob' | 'pathRegex', string | null | undefined>>

const MAX_PATTERN_LENGTH = 1000
/** Maximum program size. A regex of 1,000 literal characters compiles to about 1,000 steps. */
const MAX_STEP_COUNT = 1500
/** Limit of the estimate before compiling. It is higher because the estimate may exceed the compiled size. */
const MAX_ESTIMATED_STEP_COUNT = 2 * MAX_STEP_COUNT

/**
 * Compiles a glob for full paths, which are compared like names: * and ? match within a name, ** matches any
 * number of folders, {a,b} matches either alternative, and a backslash escapes the next character. Throws
 * InvalidInput with the position of the syntax error.
 */
export function globPattern(glob: string): Pattern {
  checkLength(glob, 'pathGlob')
  const { source, prefix } = translateGlob(glob)
  const regex = compile(`^(?:${source})$`, 'pathGlob', RE2JS.DOTALL)
  return { prefix, matches: ({ pathKey }) => regex.test(pathKey) }
}

/**
 * Compiles a case-sensitive RE2 regex, which matches anywhere in a path unless it is anchored. Regex and path
 * are compared in NFC, and matching takes linear time. Throws InvalidInput with the position of the syntax
 * error.
 */
export function regexPattern(text: string): Pattern {
  checkLength(text, 'pathRegex')
  const source = text.normalize('NFC')
  const regex = compile(source, 'pathRegex')
  const prefix = foldName(literalPrefix(source))
  return { prefix, matches: ({ path }) => regex.test(path.normalize('NFC')) }
}

function checkLength(pattern: string, field: string) {
  if (pattern.length <= MAX_PATTERN_LENGTH) return
  throw invalid(field, `pattern has ${pattern.length} characters (limit ${MAX_PATTERN_LENGTH})`)
}

const invalid = (field: string, message: string) =>
  new InvalidInput({ path: ['filter', field], message })

/** Positions in messages count from 1. */
const errorAt = (field: string, index: number, message: string) =>
  invalid(field, `${message}, at character ${index + 1}`)

const globTokens = /\\.?|\*\*\/?|[*?{},]|[^*?{},\\]+/gsu
const wildcards: Record<string, string> = { '*': '[^/]*', '?': '[^/]', '**': '.*', '**/': '.*/' }

/** Translates a glob into a regex for pathKeys. Also returns the literal prefix of the glob. */
function translateGlob(glob: string): { source: string; prefix: string } {
  if (glob.startsWith('/')) throw errorAt('pathGlob', 0, 'paths do not begin with a slash')
  const open: number[] = []
  let [source, prefix, isLiteral] = ['', '', true]
  for (const { 0: token, index } of glob.matchAll(globTokens)) {
    const literal = literalText(token, index, open.length > 0)
    isLiteral &&= literal !== null
    if (isLiteral && literal !== null) prefix += foldName(literal)
    if (token === '{') open.push(index)
    if (token === '}' && open.pop() === undefined) throw errorAt('pathGlob', index, 'unmatched }')
    source +=
      literal === null ? translateSpecial(glob, token, index) : RE2JS.quote(foldName(literal))
  }
  const unmatched = open.at(-1)
  if (unmatched !== undefined) throw errorAt('pathGlob', unmatched, 'unmatched {')
  return { source, prefix }
}

/** Returns the literal text of a token, or null for a wildcard, brace or alternative. */
function literalText(token: string, index: number, isInBraces: boolean): string | null {
  if (token === '\\') throw errorAt('pathGlob', index, 'trailing backslash')
  if (token.startsWith('\\')) return token.slice(1)
  if (token === ',') return isInBraces ? null : token
  return /^[*?{}]/.test(token) ? null : token
}

function translateSpecial(glob: string, token: string, index: number): string {
  const beginsName = index === 0 || '/{,'.includes(glob.charAt(index - 1))
  if (token === '**/' && beginsName) return '(?:[^/]+/)*'
  return wildcards[token] ?? { '{': '(?:', '}': ')', ',': '|' }[token] ?? ''
}

function compile(source: string, field: string, flags = 0): RE2JS {
  // Estimate first, because compiling an oversized regex takes seconds and a gigabyte of memory.
  if (countSteps(source) > MAX_ESTIMATED_STEP_COUNT) throw tooManyRepetitions(field)
  const regex = tryCompile(source, flags)
  if (regex instanceof RE2JSSyntaxException) {
    throw errorAt(field, findErrorIndex(source, regex), regex.getDescription())
  }
  if (regex.programSize() <= MAX_STEP_COUNT) return regex
  throw tooManyRepetitions(field)
}

const tooManyRepetitions = (field: string) =>
  invalid(field, 'pattern has too many repetitions; use smaller repeat counts')

function tryCompile(source: string, flags = 0): RE2JS | RE2JSSyntaxException {
  try {
    return RE2JS.compile(source, flags)
  } catch (error) {
    if (error instanceof RE2JSSyntaxException) return error
    throw error
  }
}

/**
 * Returns the position of a syntax error. RE2 reports only the invalid part, so a binary search finds its
 * first occurrence up to which the regex fails with the same error.
 */
function findErrorIndex(source: string, error: RE2JSSyntaxException): number {
  const description = error.getDescription()
  const part = description === 'unexpected )' ? ')' : (error.getPattern() ?? '')
  if (part === '' || description === 'missing closing )') return source.length - 1
  const indexes = [...source.split('').keys()].filter((index) => source.startsWith(part, index))
  const hasError = (index: number) => {
    const head = source.slice(0, index + part.length)
    // A head without the error is compiled, and a truncated regex may have more steps than the whole one.
    if (countSteps(head) > MAX_ESTIMATED_STEP_COUNT) return false
    const compiled = tryCompile(head)
    return compiled instanceof RE2JSSyntaxException && compiled.getDescription() === description
  }
  let [low, high] = [0, indexes.length - 1]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (hasError(indexes[middle] ?? 0)) high = middle
    else low = middle + 1
  }
  return indexes[low] ?? 0
}

/** Returns a literal prefix of all paths that a regex matches, or '' if none can be derived. */
function literalPrefix(source: string): string {
  const anchored = source.replace(/^\(\?i\)/, '')
  const literal = /^\^((?:[^\\^$.|?*+()[\]{}]|\\[^\p{L}\p{N}])*)([?*+{])?/u.exec(anchored)
  if (!literal || mayHaveAlternatives(anchored)) return ''
  const text = (literal[1] ?? '').replace(/\\(.)/gsu, '$1')
  const required = literal[2] ? text.replace(/.$/su, '') : text
  // The last character may compose with a combining mark that follows in the path.
  return required.endsWith('/') ? required : required.replace(/\P{M}?\p{M}*$/u, '')
}

/**
 * Returns whether a | may occur outside all groups. Returns true if a class or quotation makes that
 * uncertain.
 */
function mayHaveAlternatives(source: string): boolean {
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
