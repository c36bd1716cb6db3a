/**
 * The prototype file that mkfs.xfs fills a file system from (mkfs.xfs(8), option -p).
 *
 * 1. Folder by folder, names sorted; contents by path relative to the tree.
 * 2. Its modes have no sticky bit: the paths that need one are given back.
 * 3. It cannot say names with white space, `$`, or a colon in front, nor devices: those are
 *    refused.
 *
 * Pure. Not promised: hard links (each becomes a file of its own) and times.
 */
import { OsflashError } from '../../errors.ts'

/** `find -printf` format of what `protoFile` reads. */
export const PROTO_FIND_FORMAT = '%y\\t%m\\t%U\\t%G\\t%P\\t%l\\0'

export interface ProtoFile {
  readonly text: string
  /** Paths below the root, without a leading slash, with their whole mode (07777). */
  readonly sticky: readonly { readonly path: string; readonly mode: number }[]
}

interface Entry {
  readonly kind: string
  readonly mode: number
  readonly owner: string
  readonly path: string
  readonly target: string
}

/** @throws OsflashError `refused` for what a prototype file cannot say */
export function protoFile(found: string): ProtoFile {
  const entries = found
    .split('\0')
    .filter((row) => row !== '')
    .map(parseEntry)
  const children = new Map<string, Entry[]>()
  for (const entry of entries.filter(({ path }) => path !== '')) {
    const parent = entry.path.split('/').slice(0, -1).join('/')
    children.set(parent, [...(children.get(parent) ?? []), entry])
  }
  const root = entries.find(({ path }) => path === '')
  if (root === undefined) throw new RangeError('the list does not begin with the root')
  const lines = ['osflash', '0 0', modeAndOwner(root), ...folderLines('', children), '$']
  const sticky = entries.filter(({ mode }) => (mode & 0o1000) !== 0)
  return { text: `${lines.join('\n')}\n`, sticky: sticky.map(({ path, mode }) => ({ path, mode })) }
}

function parseEntry(row: string): Entry {
  const [kind = '', mode = '', uid = '', gid = '', path = '', target = ''] = row.split('\t')
  const name = path.split('/').at(-1) ?? ''
  if (/\s/.test(path + target) || name.startsWith(':') || name === '$') {
    throw refused(path, 'a name that mkfs.xfs cannot take')
  }
  if (!'fdlp'.includes(kind)) throw refused(path, 'neither file, folder, link nor fifo')
  return { kind, mode: Number.parseInt(mode, 8), owner: `${uid} ${gid}`, path, target }
}

function* folderLines(
  folder: string,
  children: ReadonlyMap<string, readonly Entry[]>,
): Generator<string> {
  const sorted = (children.get(folder) ?? []).toSorted((a, b) => (a.path < b.path ? -1 : 1))
  for (const entry of sorted) {
    const name = entry.path.split('/').at(-1) ?? ''
    const line = `${name} ${modeAndOwner(entry)}`
    if (entry.kind === 'd') {
      yield line
      yield* folderLines(entry.path, children)
      yield '$'
    } else {
      yield entry.kind === 'f' ? `${line} ${entry.path}` : `${line} ${entry.target}`.trimEnd()
    }
  }
}

function modeAndOwner({ kind, mode, owner }: Entry): string {
  const type = kind === 'f' ? '-' : kind
  const setUid = (mode & 0o4000) === 0 ? '-' : 'u'
  const setGid = (mode & 0o2000) === 0 ? '-' : 'g'
  const permissions = (mode & 0o777).toString(8).padStart(3, '0')
  return `${type}${setUid}${setGid}${permissions} ${owner}`
}

function refused(path: string, why: string): OsflashError {
  return new OsflashError('refused', `filling an xfs file system: /${path}: ${why}`, {
    hints: ['choose ext4 or btrfs', 'or remove it in customise.scripts'],
  })
}
