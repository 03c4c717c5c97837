import { RE2JS, RE2JSSyntaxException } from 're2js'
import { InvalidInput } from '../../errors.ts'
import { foldName } from '../../names.ts'

/** A path as it is shown, and as paths compare, both without a slash at either end. */
export type Path = { path: string; pathKey: string }
/** What paths are held against, and what the pathKeys of all that match begin with. */
export type Pattern = { prefix: string; matches: (path: Path) => boolean }

const LONGEST = 1000
/** A regex of 1,000 plain characters has about as many steps; what counts to a thousand twice has more. */
const MOST_STEPS = 1500

/**
 * A glob for whole paths: * and ? stay within a name, ** is any number of folders, {a,b} is either; a backslash takes what
 * follows as it stands. Compares like names do. Throws InvalidInput with the position, counted from 1.
 */
export function globPattern(glob: string): Pattern {
  checkLength(glob, 'pathGlob')
  const { source, prefix } = regexOf(glob)
  const regex = compile(`^${source}$`, RE2JS.DOTALL, 'pathGlob')
  return { prefix, matches: ({ pathKey }) => regex.test(pathKey) }
}

/**
 * A regex in RE2's syntax, matched in time linear to the path's length; anywhere in it, where ^ and $ do not hold it. Compares
 * case as written, and by NFC. Throws InvalidInput with the position, counted from 1.
 */
export function regexPattern(source: string): Pattern {
  checkLength(source, 'pathRegex')
  const regex = compile(source.normalize('NFC'), 0, 'pathRegex')
  const prefix = foldName(literalStart(source.normalize('NFC')))
  return { prefix, matches: ({ path }) => regex.test(path.normalize('NFC')) }
}

function checkLength(pattern: string, field: string) {
  if (pattern.length > LONGEST) throw refusal(field, `at most ${LONGEST} characters`)
}

const refusal = (field: string, message: string) =>
  new InvalidInput({ path: ['filter', field], message })

const tokens = /\*\*\/?|[*?{},\\]|[^*?{},\\]+/g
const anyFolders = '(?:[^/]+/)*'

/** A glob as a regex for pathKeys, and the plain text that it begins with. */
function regexOf(glob: string): { source: string; prefix: string } {
  if (glob.startsWith('/')) throw at(0, 'pathGlob', 'a path has no leading "/"')
  const open: number[] = []
  let source = ''
  let prefix: string | null = ''
  for (let index = 0; index < glob.length; ) {
    const token = tokenAt(glob, index)
    const literal = token.startsWith('\\') ? token.slice(1) : /^[*?{},]/.test(token) ? null : token
    index += token.length
  }
  return { source, prefix: prefix ?? '' }
}
