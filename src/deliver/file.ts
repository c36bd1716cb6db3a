/**
 * An image in a local file.
 *
 * 1. Reads are positioned, so any number may be under way.
 * 2. A short read is repeated until the buffer is full or the file has ended.
 */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { ioError, OsflashError } from '../errors.ts'
import type { Source } from './source.ts'

/** @throws OsflashError `io` when the file cannot be opened or is no regular file */
export async function openFileSource(path: string): Promise<Source> {
  // Opening a named pipe would wait for a writer, and no signal ends that.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(
    (cause: unknown) => {
      throw ioError(`opening ${path}`, cause)
    },
  )
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new OsflashError('io', `opening ${path}: not a regular file`)
    return {
      name: path,
      bytes: stat.size,
      read: (offset, into) => readFully({ file, path, offset, into }),
      [Symbol.asyncDispose]: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

interface ReadRequest {
  readonly file: FileHandle
  readonly path: string
  readonly offset: number
  readonly into: Uint8Array
}

async function readFully({ file, path, offset, into }: ReadRequest): Promise<void> {
  let done = 0
  while (done < into.length) {
    const place = `reading ${path} at byte ${offset + done}`
    const { bytesRead } = await file
      .read(into, done, into.length - done, offset + done)
      .catch((cause: unknown) => {
        throw ioError(place, cause)
      })
    if (bytesRead === 0) throw new OsflashError('io', `${place}: the file ends here`)
    done += bytesRead
  }
}
