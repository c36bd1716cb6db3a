/**
 * Paths of a tree: what a name in the tar may be, and which names there are already.
 *
 * 1. `treePath` takes the bytes of a name and gives the one spelling of it: relative, without
 *    `./` in front and without a slash at the end; the tree itself is the empty path.
 * 2. Refused: absolute paths, `..`, empty and `.` parts, NUL, and what is over the limits (4,096
 *    bytes, 255 a part, 64 parts). A backslash is a byte like any other: systemd escapes with it
 *    (`system-systemd\x2dcryptsetup.slice`), so every Debian root has such names, and on Linux,
 *    the only place where trees are extracted, it separates nothing.
 * 3. `TreeNames` takes one entry after another: every parent is a directory that came before, no
 *    name comes twice, a hard link leads to a regular file that came before. So no path ever
 *    leads through a symbolic link.
 *
 * Names are bytes: a path holds one byte per character (latin1), and need not be UTF-8.
 * Memory: one map entry per name, of the last part of the path only.
 */
import { OsflashError } from '../../errors.ts'
import { enforce, LIMITS, type LimitName } from '../limits.ts'

declare const checked: unique symbol
/** A path that passed the rules; one byte per character, '' is the tree itself. */
export type TreePath = string & { readonly [checked]: 'TreePath' }

/**
 * Checks a name from the tar.
 * @throws OsflashError `format` (shape), `limit` (length, depth); the message shows the name
 */
export function treePath(raw: string): TreePath {
  bound('tarPathBytes', raw.length, raw)
  if (raw === '') throw pathError(raw, 'it is empty')
  if (raw.startsWith('/')) throw pathError(raw, 'it is absolute')
  if (raw.includes('\0')) throw pathError(raw, 'it holds a NUL')
  if (raw === '.' || raw === './') return '' as TreePath
  const path = plain(raw)
  const parts = path.split('/')
  bound('tarDepth', parts.length, raw)
  for (const part of parts) {
    if (part === '..') throw pathError(raw, 'it leads upwards (..)')
    if (part === '' || part === '.') throw pathError(raw, 'a part of it is empty')
    bound('tarNameBytes', part.length, raw)
  }
  return path as TreePath
}

/** The text of a place costs more than all checks together: made only when it is wanted. */
function bound(limit: LimitName, value: number, raw: string): void {
  if (value > LIMITS[limit]) enforce(limit, value, `path ${showPath(raw)} of the tree`)
}

/** Without `./` in front and `/` at the end, as GNU tar writes names. */
function plain(raw: string): string {
  const relative = raw.startsWith('./') ? raw.slice(2) : raw
  return relative.endsWith('/') ? relative.slice(0, -1) : relative
}

/** A path for a message: as UTF-8, at most 200 bytes, nothing that a terminal would obey. */
export function showPath(path: string): string {
  const shown = Buffer.from(path.slice(0, 200), 'latin1').toString('utf8')
  const more = path.length > 200 ? '...' : ''
  return (JSON.stringify(shown) + more).replace(/[\x7f-\x9f]/g, '?')
}

export function pathError(path: string, what: string): OsflashError {
  return new OsflashError('format', `reading path ${showPath(path)} of the tree: ${what}`, {
    data: { path: Buffer.from(path.slice(0, 200), 'latin1').toString('utf8') },
  })
}

/** What a name stands for, as far as later entries care. */
type NameKind = 'file' | 'other'
type Names = Map<string, NameKind | DirectoryNames>

class DirectoryNames {
  readonly names: Names = new Map()
}

/** The names of a tree that is growing. */
export class TreeNames {
  readonly #root = new DirectoryNames()
  #rootSeen = false
  // Entries of one directory mostly follow one another.
  #lastParent = ''
  #lastDirectory = this.#root

  /**
   * Takes the next entry.
   * @throws OsflashError `format`: no such parent, or the name is taken
   */
  add(path: TreePath, kind: NameKind | 'directory'): void {
    if (path === '') {
      this.#addRoot(kind)
      return
    }
    const { directory, name } = this.#locate(path)
    if (directory.names.has(name)) throw pathError(path, 'it comes twice')
    directory.names.set(name, kind === 'directory' ? new DirectoryNames() : kind)
  }

  /** True for a regular file, or a hard link to one, that came before. */
  isFile(path: TreePath): boolean {
    if (path === '') return false
    const { directory, name } = this.#locate(path)
    return directory.names.get(name) === 'file'
  }

  #addRoot(kind: NameKind | 'directory'): void {
    if (kind !== 'directory') throw pathError('.', 'the tree itself is no directory')
    if (this.#rootSeen) throw pathError('.', 'it comes twice')
    this.#rootSeen = true
  }

  #locate(path: TreePath): { directory: DirectoryNames; name: string } {
    const slash = path.lastIndexOf('/')
    const parent = slash === -1 ? '' : path.slice(0, slash)
    if (parent !== this.#lastParent) {
      this.#lastDirectory = this.#directoryAt(parent, path)
      this.#lastParent = parent
    }
    return { directory: this.#lastDirectory, name: path.slice(slash + 1) }
  }

  #directoryAt(parent: string, path: TreePath): DirectoryNames {
    let directory = this.#root
    if (parent === '') return directory
    for (const part of parent.split('/')) {
      const child = directory.names.get(part)
      if (!(child instanceof DirectoryNames)) {
        throw pathError(path, 'its parent is no directory that came before it')
      }
      directory = child
    }
    return directory
  }
}
