import { createHash } from 'node:crypto'
import { isFitForWindows, UNFIT_FOR_WINDOWS } from '../../../names.ts'

/**
 * Names of the manifest and of the folder with older versions. Members of the tree never have these names.
 */
export const MANIFEST = 'manifest.json'
const VERSIONS = '.versions'

/**
 * Returns the member name of a path. A name that every system can unpack stays unchanged; in any other name
 * each invalid character becomes "_", and a hash of the name makes it unique.
 */
export function memberName(path: string): string {
  const names = path.split('/')
  return names.map((name, depth) => (isPortable(name, depth) ? name : portableName(name))).join('/')
}

const isPortable = (name: string, depth: number) =>
  isFitForWindows(name) &&
  !(depth === 0 && [MANIFEST, VERSIONS].includes(name.normalize('NFC').toLowerCase()))

function portableName(name: string): string {
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8)
  return `_${name.replace(UNFIT_FOR_WINDOWS, '_').replace(/[. ]+$/, '_')}~${hash}`
}

/** Returns the member name of an older version of a file, with the extension of the file. */
export function versionName(path: string, number: number): string {
  const extension = /\.[\w-]{1,16}$/.exec(path)?.[0] ?? ''
  return `${VERSIONS}/${memberName(`x/${path}`).slice(2)}/${number}${extension}`
}
