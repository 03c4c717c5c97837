import { InvalidInput } from '../../../errors/input.ts'

/** The folders of a file below the target folder, and the name of the file if the path ends with one. */
export type RelativePath = { folders: string; name: string | null }

/** What browsers write for a file that was not chosen as part of a folder. */
const ABSENT = ['', 'null', 'undefined']

/**
 * Parses the path that a client reports for a file of an uploaded folder, such as `photos/2025/a.jpg`.
 * Backslashes separate like slashes; empty segments and `.` are skipped, also at the beginning. A path that
 * ends with a slash names only folders. Throws InvalidInput for `..`. The names are checked with the target.
 */
export function parseRelativePath(text: string | null | undefined): RelativePath {
  if (text == null || ABSENT.includes(text)) return { folders: '', name: null }
  const segments = text.split(/[/\\]/)
  if (segments.includes('..')) {
    throw new InvalidInput({ path: ['relativePath'], message: 'path has a segment ".."' })
  }
  const name = segments.pop() ?? ''
  const folders = segments.filter(isName).join('/')
  return { folders, name: isName(name) ? name : null }
}

const isName = (segment: string) => segment !== '' && segment !== '.'

/** Returns the path of `folders` below the folder path `base`. */
export function joinFolders(base: string, { folders }: RelativePath): string {
  if (base === '' || folders === '') return base + folders
  return `${base.replace(/\/$/, '')}/${folders}`
}
