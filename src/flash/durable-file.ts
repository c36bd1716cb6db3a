/**
 * Files that are there whole or not at all, whatever the moment of a power cut.
 *
 * 1. The bytes go to a name of their own beside the file, and are flushed.
 * 2. The rename makes them the file; flushing the folder makes the rename last.
 * 3. A cut leaves the old file or the new one, and at worst `NAME.new`, which the next write
 *    replaces.
 *
 * Not promised: owner, ACLs and attributes of a file that is replaced.
 */

import { constants } from 'node:fs'
import { open, rename, rm, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, ioError } from '../errors.ts'
import { syncFolder } from '../system/sync-folder.ts'

/**
 * Replaces or makes a file; it is on the disk when the promise settles.
 * @param mode permission bits, whatever the umask
 * @throws OsflashError `io`
 */
export async function writeFileSafely(
  path: string,
  bytes: Uint8Array | string,
  mode: number,
): Promise<void> {
  const next = `${path}.new`
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  try {
    await rm(next, { force: true })
    const file = await open(next, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
    try {
      await file.writeFile(bytes)
      await file.chmod(mode)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(next, path)
    await syncFolder(dirname(path))
  } catch (cause) {
    await rm(next, { force: true }).catch(() => undefined)
    throw ioError(`writing ${path}`, cause)
  }
}

/** Removes a file for good; it may be gone already. @throws OsflashError `io` */
export async function removeFileSafely(path: string): Promise<void> {
  try {
    await unlink(path)
    await syncFolder(dirname(path))
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') throw ioError(`removing ${path}`, cause)
  }
}
