import { createHash } from 'node:crypto'
import { isFitForWindows, UNFIT_FOR_WINDOWS } from '../../names.ts'

/** Where the manifest and the bytes of older versions are; nothing of the tree has these names. */
export const MANIFEST = 'manifest.json'
const VERSIONS = '.versions'

/**
 * The name that a path of the tree has in the archive: itself, where every system can unpack it. Else what is unfit becomes "_",
 * and a mark made from the name keeps it apart from all others.
 */
export function memberName(path: string): string {
  const names = path.split('/')
  return names.map((name, depth) => (isFit(name, depth) ? name : marked(name))).join('/')
}

const isFit = (name: string, depth: number) =>
  isFitForWindows(name) &&
  !(depth === 0 && [MANIFEST, VERSIONS].includes(name.normalize('NFC').toLowerCase()))

function marked(name: string): string {
  const mark = createHash('sha256').update(name).digest('hex').slice(0, 8)
  return `_${name.replace(UNFIT_FOR_WINDOWS, '_').replace(/[. ]+$/, '_')}~${mark}`
}

/** Where an older version of a file is: beside the others, with the file's extension. */
export function versionName(path: string, number: number): string {
  const extension = /\.[\w-]{1,16}$/.exec(path)?.[0] ?? ''
  return `${VERSIONS}/${memberName(`x/${path}`).slice(2)}/${number}${extension}`
}
