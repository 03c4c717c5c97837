import { basename, dirname } from 'node:path'
import type { Call } from './strace.ts'

/**
 * One change of a file's bytes or of a folder's entries, at line `at` of the trace; a rename is one
 * change in each of its folders. A loss of power may undo it until its file or folder is synced,
 * independently of the others.
 */
type Change<What> = What & { at: number; isDurable: boolean }
type Bytes = { offset: number; bytes: Buffer } | { length: number }
type File = { kind: 'file'; changes: Change<Bytes>[] }
type Folder = { kind: 'folder'; changes: Change<{ name: string; node: Node | null }>[] }
type Node = File | Folder

/** The node at each path, as every process sees it. */
type Present = Map<string, Node>

/** By path: the bytes of a file; null for a folder. */
export type Disk = Map<string, Buffer | null>

/** Decides by line of the trace which unsynced changes a loss of power spares. */
export type Luck = (at: number) => boolean
export const noLuck: Luck = () => false

/**
 * Returns the content of the folder `root`, empty before the first call, after a loss of power at line
 * `moment`: the changes that were synced by then, and those that `luck` spares. A sync that had not ended
 * has no effect.
 */
export function afterPowerLoss(calls: Call[], root: string, moment: number, luck = noLuck): Disk {
  const top: Folder = { kind: 'folder', changes: [] }
  const present: Present = new Map([[root, top]])
  for (const call of calls) if (call.ended <= moment) effectOf(call)?.(present, call)
  return new Map(survivors(root, top, luck))
}

type Effect = (present: Present, call: Call) => void

const write: Effect = (present, { name, args, path, strings, result, ended: at }) => {
  const file = fileAt(present, path)
  if (!file) return
  if (!name.startsWith('pwrite')) throw new Error(`${name} to ${path}: its offset is unknown`)
  const bytes = Buffer.concat(strings).subarray(0, result)
  file.changes.push({ at, isDurable: false, offset: lastNumber(args), bytes })
}
const cut: Effect = (present, { args, path, ended: at }) =>
  void fileAt(present, path)?.changes.push({ at, isDurable: false, length: lastNumber(args) })

/** Syncs the changes made before it began. */
const sync: Effect = (present, { path, begun }) => {
  const { changes = [] } = present.get(path) ?? {}
  for (const change of changes) change.isDurable ||= change.at < begun
}

const open: Effect = (present, { args, strings, ended: at }) => {
  const path = `${strings[0]}`
  if (!args.includes('O_CREAT')) return
  if (!present.has(path)) return enter(present, path, { kind: 'file', changes: [] }, at)
  if (args.includes('O_TRUNC'))
    fileAt(present, path)?.changes.push({ at, isDurable: false, length: 0 })
}
const makeFolder: Effect = (present, { strings, ended: at }) =>
  enter(present, `${strings[0]}`, { kind: 'folder', changes: [] }, at)

const rename: Effect = (present, { strings: [from, to], ended: at }) => {
  const file = fileAt(present, `${from}`)
  if (!file) return
  enter(present, `${to}`, file, at)
  enter(present, `${from}`, null, at)
}
/** Adds a second name of a file. */
const link: Effect = (present, { strings: [from, to], ended: at }) => {
  const file = fileAt(present, `${from}`)
  if (file) enter(present, `${to}`, file, at)
}
const remove: Effect = (present, { strings, ended: at }) =>
  enter(present, `${strings[0]}`, null, at)

const other: Effect = (present, { name, path, strings }) => {
  const paths = [path, ...strings.filter(({ length }) => length < 4096).map(String)]
  if (paths.some((path) => present.has(path))) throw new Error(`${name} is not simulated`)
}

const effects = new Map(
  Object.entries({
    ...{ write, writev: write, pwrite64: write, pwritev: write, pwritev2: write, ftruncate: cut },
    ...{ fsync: sync, fdatasync: sync, openat: open, mkdir: makeFolder },
    ...{
      rename,
      link,
      linkat: link,
      unlink: remove,
      rmdir: remove,
      sendto: () => {},
      sendmsg: () => {},
    },
  } satisfies Record<string, Effect>),
)
const effectOf = ({ name }: Call): Effect => effects.get(name) ?? other

function enter(present: Present, path: string, node: Node | null, at: number) {
  const folder = present.get(dirname(path))
  if (folder?.kind !== 'folder') return
  folder.changes.push({ at, isDurable: false, name: basename(path), node })
  if (node) present.set(path, node)
  else present.delete(path)
}

function fileAt(present: Present, path: string): File | undefined {
  const node = present.get(path)
  if (node?.kind !== 'folder') return node
  throw new Error(`${path} is a folder: renaming folders is not simulated`)
}

const lastNumber = (args: string) => Number(/(\d+)$/.exec(args)?.[1])

function* survivors(
  path: string,
  { changes }: Folder,
  luck: Luck,
): Generator<[string, Buffer | null]> {
  yield [path, null]
  const entries = new Map<string, Node | null>()
  for (const { name, node } of spared(changes, luck)) entries.set(name, node)
  for (const [name, node] of entries) {
    if (node?.kind === 'folder') yield* survivors(`${path}/${name}`, node, luck)
    else if (node) yield [`${path}/${name}`, bytesOf(node, luck)]
  }
}

/** Returns the bytes of a file. Bytes within its length that were never written are zeros. */
function bytesOf({ changes }: File, luck: Luck): Buffer {
  const here = spared(changes, luck)
  const file = Buffer.alloc(Math.max(0, ...here.map(endOf)))
  let length = 0
  for (const change of here) {
    if ('bytes' in change) change.bytes.copy(file, change.offset)
    else file.fill(0, change.length)
    length = 'bytes' in change ? Math.max(length, endOf(change)) : change.length
  }
  return file.subarray(0, length)
}

const endOf = (change: Bytes) =>
  'bytes' in change ? change.offset + change.bytes.length : change.length

const spared = <What>(changes: Change<What>[], luck: Luck) =>
  changes.filter(({ at, isDurable }) => isDurable || luck(at))
