/**
 * The directory that a tree is written to, and the names of its entries on the disk.
 *
 * 1. The directory is made, or exists and is empty; an empty `lost+found` counts as empty,
 *    because every fresh ext4 file system has one.
 * 2. While the tree grows only this user may enter a directory that was made here.
 * 3. Names are bytes: a name that is not ASCII is given to the kernel as it is in the tar.
 * 4. Directory and path together must be below PATH_MAX; a tree has paths up to that by itself.
 *
 * Not promised: safety against another process that changes the directory meanwhile.
 */
import { chmodSync, mkdirSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../../errors.ts'
import { showPath, type TreePath } from '../../format/tree/tree-path.ts'

/** While a tree is written: nobody but this user sees half of it. */
export const PRIVATE_DIRECTORY_MODE = 0o700
const LOST_AND_FOUND = 'lost+found'
/** Linux counts 4,096 with the NUL. */
const PATH_MAX_BYTES = 4_095

export interface TreeTarget {
  /** Absolute path. */
  readonly directory: string
  /** True when the directory did not exist. */
  readonly made: boolean
  /** True when there is an empty `lost+found`, which the tree may name as well. */
  readonly hasLostAndFound: boolean
}

/**
 * Makes the directory, or takes one that is empty.
 * @throws OsflashError `refused` (not empty, or no directory), `io`
 */
export function prepareTarget(path: string): TreeTarget {
  const directory = resolve(path)
  try {
    mkdirSync(directory, PRIVATE_DIRECTORY_MODE)
    return { directory, made: true, hasLostAndFound: false }
  } catch (cause) {
    if (errnoOf(cause) !== 'EEXIST') throw ioError(`making the directory ${directory}`, cause)
  }
  const names = namesIn(directory)
  const hasLostAndFound = names.length === 1 && isEmptyLostAndFound(directory, names)
  if (names.length > 0 && !hasLostAndFound) throw notEmpty(directory)
  return { directory, made: false, hasLostAndFound }
}

/** Gives a directory that was made here, and that the tree does not describe, a usual mode. */
export function openTarget(target: TreeTarget): void {
  if (!target.made) return
  try {
    chmodSync(target.directory, 0o755)
  } catch (cause) {
    throw ioError(`setting the mode of ${target.directory}`, cause)
  }
}

/** True when the tree's own entry `path` is the `lost+found` that is already there. */
export function isThere(target: TreeTarget, path: TreePath): boolean {
  return path === '' || (target.hasLostAndFound && path === LOST_AND_FOUND)
}

/**
 * The name of an entry on the disk: text where it is ASCII, else bytes.
 * @throws OsflashError `io` (ENAMETOOLONG), which Linux would say as well, but not each tool
 */
export function pathOnDisk(target: Pick<TreeTarget, 'directory'>, path: TreePath): string | Buffer {
  if (path === '') return target.directory
  const directory = `${target.directory}/`
  if (Buffer.byteLength(directory) + path.length > PATH_MAX_BYTES) throw tooLong(target, path)
  if (isAscii(path)) return `${directory}${path}`
  return Buffer.concat([Buffer.from(directory), Buffer.from(path, 'latin1')])
}

function tooLong({ directory }: Pick<TreeTarget, 'directory'>, path: TreePath): OsflashError {
  const message = `making ${showPath(path)} of the tree below ${directory}: file name too long`
  return new OsflashError('io', message, {
    data: { errno: 'ENAMETOOLONG' },
    hints: ['unpack to a directory with a shorter path, and move it'],
  })
}

/** Bytes of the tar (latin1) as text where they are ASCII, else as bytes. */
export function onDisk(latin1: string): string | Buffer {
  return isAscii(latin1) ? latin1 : Buffer.from(latin1, 'latin1')
}

function isAscii(latin1: string): boolean {
  return !/[\x80-\xff]/.test(latin1)
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory)
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOTDIR') throw ioError(`reading the directory ${directory}`, cause)
    throw new OsflashError('refused', `unpacking a tree to ${directory}: not a directory`, {
      hints: ['name a directory that does not exist yet'],
    })
  }
}

function isEmptyLostAndFound(directory: string, names: readonly string[]): boolean {
  if (names[0] !== LOST_AND_FOUND) return false
  try {
    return readdirSync(join(directory, LOST_AND_FOUND)).length === 0
  } catch {
    // A file of that name, or not ours to read: then the directory is simply not empty.
    return false
  }
}

function notEmpty(directory: string): OsflashError {
  return new OsflashError('refused', `unpacking a tree to ${directory}: it is not empty`, {
    data: { directory },
    hints: [
      'name a directory that does not exist yet',
      `what an interrupted run left can be removed: rm -r ${directory}`,
    ],
  })
}
