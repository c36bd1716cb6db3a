/**
 * A file that may not be there. What cannot be read for any other reason is not taken for absent.
 *
 * For small files: the bytes are held whole.
 */
import { readFile } from 'node:fs/promises'
import { errnoOf, ioError } from '../errors.ts'

/** The bytes; `undefined` when there is no such file. @throws OsflashError `io` */
export async function readIfThere(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`reading ${path}`, cause)
  })
}
