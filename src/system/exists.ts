/**
 * Whether something is there. Who may not look, or reads from a failing disk, is not told that
 * nothing is.
 */
import { stat } from 'node:fs/promises'
import { errnoOf, ioError } from '../errors.ts'

/** Follows symbolic links. @throws OsflashError `io` unless it is there or surely is not */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (cause) {
    const errno = errnoOf(cause)
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return false
    throw ioError(`looking for ${path}`, cause)
  }
}
