/**
 * Paths of another system's root, seen from outside of it.
 *
 * 1. Each part of a path is looked up below the root; a symbolic link is followed as that system
 *    would follow it, an absolute one from the root again, so no path leaves the root.
 * 2. At most 40 links, as the kernel has it.
 *
 * Not promised: safety against somebody who changes the tree meanwhile; it is mounted by us
 * alone, or the build's own.
 */
import { lstat, open, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../errors.ts'

const LINKS_MAX = 40

export interface InsidePath {
  /** Seen from outside. */
  readonly path: string
  /** Seen from inside, without a leading slash; no part is a link, but the last may be one. */
  readonly inside: string
  /** Folders on the way that do not exist, outermost first, as seen from inside. */
  readonly missing: readonly string[]
}

/**
 * Where `path` (absolute in the other system) is; `last` says what becomes of a link there. What
 * does not exist is kept as it is written; `..` at the root stays there.
 * @throws OsflashError `refused` on a loop of links or a file where a folder must be; `io`
 */
export async function resolveInside(
  root: string,
  path: string,
  last: 'follow' | 'keep',
): Promise<InsidePath> {
  let pending = partsOf(path)
  let parts: string[] = []
  const missing: string[] = []
  let links = 0
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === '..') {
      parts = parts.slice(0, -1)
      continue
    }
    const at = join(root, ...parts, name)
    const isLast = pending.length === 0
    const found = await lookUp(at, path)
    if (!found?.isSymbolicLink() || (isLast && last === 'keep')) {
      if (!isLast && found?.isDirectory() === false) {
        throw wrong(root, path, `${at} is no folder`)
      }
      parts = [...parts, name]
      if (!isLast && found === undefined) missing.push(parts.join('/'))
      continue
    }
    links += 1
    if (links > LINKS_MAX) throw wrong(root, path, 'too many symbolic links')
    const to = await readlink(at).catch((cause: unknown) => {
      throw ioError(`reading the link ${at}`, cause)
    })
    pending = [...partsOf(to), ...pending]
    if (to.startsWith('/')) parts = []
  }
  return { path: join(root, ...parts), inside: parts.join('/'), missing }
}

/** The path from outside of what `path` is in the root; all links are followed inside of it. */
export const insideRoot = async (root: string, path: string): Promise<string> =>
  (await resolveInside(root, path, 'follow')).path

/** The bytes of a file of the root; `undefined` when there is none. @throws OsflashError `io` */
export async function readInside(root: string, path: string): Promise<Buffer | undefined> {
  const from = await insideRoot(root, path)
  try {
    await using file = await open(from, 'r')
    return await file.readFile()
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`reading ${path} of the root at ${root}`, cause)
  }
}

/** True when the root has something at `path`; a link counts, wherever it points. */
export async function existsInside(root: string, path: string): Promise<boolean> {
  const at = await resolveInside(root, path, 'keep')
  return (await lookUp(at.path, path)) !== undefined
}

const partsOf = (path: string): string[] =>
  path.split('/').filter((name) => name !== '' && name !== '.')

function lookUp(at: string, path: string) {
  return lstat(at).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`looking up ${path} at ${at}`, cause)
  })
}

function wrong(root: string, path: string, why: string): OsflashError {
  return new OsflashError('refused', `looking up ${path} in the root at ${root}: ${why}`)
}
