/**
 * Writing files of another system's root, seen from outside of it.
 *
 * 1. Where a path leads is system/inside-root.ts's to say; none leaves the root.
 * 2. A file is written beside its place, flushed, renamed, and its folder flushed: a power cut
 *    leaves the old file or the new one.
 *
 * Not promised: safety against somebody who changes the tree meanwhile; it is mounted by us
 * alone.
 */

import { mkdir, open, rename, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../errors.ts'
import { resolveInside } from '../system/inside-root.ts'
import { syncFolder } from '../system/sync-folder.ts'

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
 * Makes or replaces a file, and the folders above it; durable when it returns.
 * @throws OsflashError `refused` or `io`
 */
export async function writeInside(root: string, file: FileInside): Promise<void> {
  const to = await placeOf(root, file.path)
  const beside = join(dirname(to), `.${basename(to)}.osflash`)
  try {
    await makeFolders(dirname(to))
    await rm(beside, { force: true })
    await writeWhole(beside, file)
    await rename(beside, to)
    await syncFolder(dirname(to))
  } catch (cause) {
    await rm(beside, { force: true }).catch(() => undefined)
    throw ioError(`writing ${file.path} of the root at ${root}`, cause)
  }
}

/** Makes or replaces a symbolic link with the text `to`. @throws OsflashError `refused`, `io` */
export async function linkInside(root: string, path: string, to: string): Promise<void> {
  const at = await placeOf(root, path)
  const beside = join(dirname(at), `.${basename(at)}.osflash`)
  try {
    await makeFolders(dirname(at))
    await rm(beside, { force: true })
    await symlink(to, beside)
    await rename(beside, at)
    await syncFolder(dirname(at))
  } catch (cause) {
    throw ioError(`linking ${path} of the root at ${root}`, cause)
  }
}

/** Removes a file, a link (not what it points to) or a folder with all it holds, if there. */
export async function removeInside(root: string, path: string): Promise<void> {
  const at = await placeOf(root, path)
  if (at === root) {
    throw new OsflashError('refused', `removing ${path} of the root at ${root}: it is the root`)
  }
  try {
    await rm(at, { recursive: true, force: true })
    await syncFolder(dirname(at))
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return
    throw ioError(`removing ${path} of the root at ${root}`, cause)
  }
}

/** A link there is replaced or removed, not followed. */
const placeOf = async (root: string, path: string): Promise<string> =>
  (await resolveInside(root, path, 'keep')).path

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
  await syncFolder(dirname(path))
}
