/**
 * Erasing the secrets on a store, once nobody needs them.
 *
 * 1. Each file is overwritten with zeros in place, flushed, and only then unlinked; folders go
 *    when they are empty. ext4 keeps data in place unless data is journalled, which it is not.
 * 2. A cut leaves files that are zero or whole: doing it again ends it.
 * 3. Symbolic links are unlinked, never followed.
 * 4. What cannot be erased keeps nothing else: all is tried, and the first failure is thrown.
 *
 * Not promised: sectors that a disk has moved, or what a flash translation layer keeps.
 */

import { constants } from 'node:fs'
import { lstat, open, readdir, rmdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errnoOf, ioError } from '../errors.ts'
import { exists } from '../system/exists.ts'
import { syncFolder } from '../system/sync-folder.ts'
import { MIB } from '../units.ts'
import { SECRETS, STORE } from './places.ts'

const NOTIFY = [STORE.notify, `${STORE.notify}.new`] as const

/** Erases what `SECRETS` names, and whom to tell; gone is fine. @throws OsflashError `io` */
export async function eraseSecrets(storePath: string): Promise<void> {
  await eachOf([...SECRETS, ...NOTIFY], (name) => erase(join(storePath, name)))
}

/** Whether anything of it is left. @throws OsflashError `io` */
export async function hasSecrets(storePath: string): Promise<boolean> {
  for (const name of SECRETS) if (await exists(join(storePath, name))) return true
  return false
}

/** Once the last state was told. @throws OsflashError `io` */
export async function eraseNotify(storePath: string): Promise<void> {
  await eachOf(NOTIFY, (name) => erase(join(storePath, name)))
}

/** Before another key takes its place, which would leave it readable. @throws OsflashError `io` */
export async function eraseSessionKey(storePath: string): Promise<void> {
  const { sessionKey } = STORE
  await eachOf([sessionKey, `${sessionKey}.new`], (name) => erase(join(storePath, name)))
}

/**
 * Erases a file, or a folder with all it holds; durable when the promise settles.
 * @throws OsflashError `io`
 */
export async function erase(path: string): Promise<void> {
  try {
    await eraseEntry(path)
    await syncFolder(dirname(path))
  } catch (cause) {
    if (errnoOf(cause) !== 'ENOENT') throw ioError(`erasing ${path}`, cause)
  }
}

async function eraseEntry(path: string): Promise<void> {
  const stats = await lstat(path)
  if (stats.isDirectory()) {
    await eachOf(await readdir(path), (name) => eraseEntry(join(path, name)))
    await rmdir(path)
    return
  }
  if (stats.isFile()) await overwrite(path, stats.size)
  await unlink(path)
}

/** One that fails keeps none of the others. @throws what failed first */
async function eachOf(
  names: readonly string[],
  eraseOne: (name: string) => Promise<void>,
): Promise<void> {
  const failed: unknown[] = []
  for (const name of names) {
    await eraseOne(name).catch((error: unknown) => {
      // Somebody else was faster; it must not stand before a real failure.
      if (errnoOf(error) !== 'ENOENT') failed.push(error)
    })
  }
  if (failed.length > 0) throw failed[0]
}

async function overwrite(path: string, bytes: number): Promise<void> {
  const { O_WRONLY, O_NOFOLLOW } = constants
  await using file = await open(path, O_WRONLY | O_NOFOLLOW)
  const zeros = Buffer.alloc(Math.min(bytes, MIB))
  let done = 0
  while (done < bytes) {
    const { bytesWritten } = await file.write(zeros, 0, Math.min(zeros.length, bytes - done), done)
    done += bytesWritten
  }
  await file.sync()
}
