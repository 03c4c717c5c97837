import { reject } from '../refusal.ts'

const LONG = `${'x'.repeat(251)}.txt`

/** Few names, so that draws often collide. Some differ only by case, normalisation or case folding. */
export const names = [
  ...['a', 'A', 'b.txt', 'B.TXT', 'c', 'd', 'e', 'plate.csv', '.env', 'a b'],
  ...['\u00e9', 'e\u0301', 'E\u0301', 'straße', 'STRASSE', '\ufb01le', 'FILE', '日本'],
  ...['data.tar.gz', 'Data.TAR.GZ', 'a (2)', '%_\\', "o'hara", '🧪.txt'],
] as const
export const longNames = [LONG, LONG.toUpperCase()] as const
export const invalidNames = ['', '.', '..', 'x/y', 'a\0b', '   ', `${LONG}x`, 'a\u202eb'] as const

/** Returns the form in which names are compared. */
export const fold = (name: string) =>
  name.normalize('NFC').toLowerCase().toUpperCase().toLowerCase().normalize('NFC')

const bytesOf = (text: string) => Buffer.byteLength(text)

export function checkName(name: string): string {
  const bytes = bytesOf(name.normalize('NFC'))
  const isInvalid = bytes > 255 || /[/\0\u202e]/.test(name) || ['', '.', '..'].includes(name.trim())
  return isInvalid ? reject('INVALID_INPUT') : name
}

/** Splits a folder path into names. Rejects invalid ones. */
export function namesOf(path: string): string[] {
  if (path === '') return []
  if (path.startsWith('/')) reject('INVALID_INPUT')
  return path.replace(/\/$/, '').split('/').map(checkName)
}

/** Returns `name (2)`, or the next free number. */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  for (let number = 2; ; number++) {
    const candidate = numbered(name, number)
    if (!taken.has(fold(candidate))) return candidate
  }
}

function numbered(name: string, number: number): string {
  const dot = name.toLowerCase().endsWith('.tar.gz') ? -7 : name.lastIndexOf('.')
  const isExtension = dot !== 0 && dot !== -1 && /^\.[^.\s]{1,16}$/.test(lastOf(name, dot))
  const stem = isExtension ? name.slice(0, dot) : name
  const tail = ` (${number})${isExtension ? name.slice(dot) : ''}`
  let head = [...stem]
  while (bytesOf((head.join('') + tail).normalize('NFC')) > 255) head = head.slice(0, -1)
  return head.join('') + tail
}

const lastOf = (name: string, dot: number) => (dot === -7 ? '.gz' : name.slice(dot))
