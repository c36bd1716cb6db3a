/**
 * Files of another system's root, seen from outside of it.
 *
 * 1. Each part of a path is looked up below the root; a symbolic link is followed as that system
 *    would follow it, an absolute one from the root again, so no path leaves the root.
 * 2. At most 40 links, as the kernel has it.
 * 3. A file is written beside its place, flushed, renamed, and its folder flushed: a power cut
 *    leaves the old file or the new one.
 *
 * Not promised: safety against somebody who changes the tree meanwhile; it is mounted by us
 * alone.
 */
import {
  type FileHandle,
  lstat,
  mkdir,
  open,
  readlink,
  rename,
  rm,
  symlink,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../errors.ts'

const LINKS_MAX = 40
const FOLDER_MODE = 0o755

export interface FileInside {
  /** Absolute in the other system. A link there is replaced, not followed. */
  readonly path: string
  readonly bytes: Uint8Array | string
  /** Permission bits; the umask does not count. */
  readonly mode: number
  /** Default: root. */
  readonly owner?: { readonly uid: number; readonly gid: number }
}

/**
 * The path from outside of what `path` is in the root; all links are followed inside of it.
 * What does not exist is kept as it is written.
 * @throws OsflashError `refused` on a loop of links or a file where a folder must be; `io`
 */
export const insideRoot = (root: string, path: string): Promise<string> =>
  resolve(root, path, 'follow')

/** The bytes of a file of the root; `undefined` when there is none. @throws OsflashError `io` */
export async function readInside(root: string, path: string): Promise<Buffer | undefined> {
  const from = await resolve(root, path, 'follow')
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
  const at = await resolve(root, path, 'keep')
  return (await statOf(at, path)) !== undefined
}

/**
 * Makes or replaces a file, and the folders above it; durable when it returns.
 * @throws OsflashError `refused` or `io`
 */
export async function writeInside(root: string, file: FileInside): Promise<void> {
  const to = await resolve(root, file.path, 'keep')
  const beside = join(dirname(to), `.${basename(to)}.osflash`)
  try {
    await makeFolders(dirname(to))
    await rm(beside, { force: true })
    await writeWhole(beside, file)
    await rename(beside, to)
    await flushFolder(dirname(to))
  } catch (cause) {
    await rm(beside, { force: true }).catch(() => undefined)
    throw ioError(`writing ${file.path} of the root at ${root}`, cause)
  }
}

/** Makes or replaces a symbolic link with the text `to`. @throws OsflashError `refused`, `io` */
export async function linkInside(root: string, path: string, to: string): Promise<void> {
  const at = await resolve(root, path, 'keep')
  const beside = join(dirname(at), `.${basename(at)}.osflash`)
  try {
    await makeFolders(dirname(at))
    await rm(beside, { force: true })
    await symlink(to, beside)
    await rename(beside, at)
    await flushFolder(dirname(at))
  } catch (cause) {
    throw ioError(`linking ${path} of the root at ${root}`, cause)
  }
}

/** Removes a file, a link (not what it points to) or a folder with all it holds, if there. */
export async function removeInside(root: string, path: string): Promise<void> {
  const at = await resolve(root, path, 'keep')
  if (at === root) throw wrong(path, root, 'this is the root itself')
  try {
    await rm(at, { recursive: true, force: true })
    await flushFolder(dirname(at))
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return
    throw ioError(`removing ${path} of the root at ${root}`, cause)
  }
}

async function writeWhole(path: string, { bytes, mode, owner }: FileInside): Promise<void> {
  // Nobody may read a key between its making and its mode.
  await using file = await open(path, 'wx', 0o600)
  await file.writeFile(bytes)
  if (owner !== undefined) await file.chown(owner.uid, owner.gid)
  await file.chmod(mode)
  await file.sync()
}

/** Durable one by one; those that exist keep their mode. */
async function makeFolders(path: string): Promise<void> {
  try {
    await mkdir(path, FOLDER_MODE)
  } catch (cause) {
    if (errnoOf(cause) === 'EEXIST') return
    if (errnoOf(cause) !== 'ENOENT') throw cause
    await makeFolders(dirname(path))
    await mkdir(path, FOLDER_MODE)
  }
  await flushFolder(dirname(path))
}

async function flushFolder(path: string): Promise<void> {
  await using folder: FileHandle = await open(path, 'r')
  await folder.sync()
}

/** Walks from the root; `..` at the root stays there. */
async function resolve(root: string, path: string, last: 'follow' | 'keep'): Promise<string> {
  let pending = partsOf(path)
  let parts: string[] = []
  let links = 0
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === '..') {
      parts = parts.slice(0, -1)
      continue
    }
    const at = join(root, ...parts, name)
    const isLast = pending.length === 0
    const stat = await statOf(at, path)
    if (!stat?.isSymbolicLink() || (isLast && last === 'keep')) {
      if (!isLast && stat?.isDirectory() === false) throw wrong(path, root, `${at} is no folder`)
      parts = [...parts, name]
      continue
    }
    links += 1
    if (links > LINKS_MAX) throw wrong(path, root, 'too many symbolic links')
    const to = await readlink(at)
    pending = [...partsOf(to), ...pending]
    if (to.startsWith('/')) parts = []
  }
  return join(root, ...parts)
}

const partsOf = (path: string): string[] =>
  path.split('/').filter((name) => name !== '' && name !== '.')

function statOf(at: string, path: string) {
  return lstat(at).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`looking up ${path} at ${at}`, cause)
  })
}

function wrong(path: string, root: string, why: string): OsflashError {
  return new OsflashError('refused', `looking up ${path} in the root at ${root}: ${why}`)
}
