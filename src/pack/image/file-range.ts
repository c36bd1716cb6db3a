/**
 * Whole reads and writes at a place of an open file, without waiting for the event loop.
 *
 * 1. For worker threads only: the calls block.
 * 2. A short read or write is continued; the end of a file where bytes belong is an error.
 */
import { readSync, writeSync } from 'node:fs'
import { ioError, OsflashError } from '../../errors.ts'
import type { OpenedFile } from './jobs.ts'

/** @throws OsflashError `io`, with the path and the byte */
export function readRange(file: OpenedFile, offset: number, into: Uint8Array): void {
  let done = 0
  while (done < into.length) {
    const place = `reading ${file.path} at byte ${offset + done}`
    let count: number
    try {
      count = readSync(file.fd, into, done, into.length - done, offset + done)
    } catch (cause) {
      throw ioError(place, cause)
    }
    if (count === 0) throw new OsflashError('io', `${place}: the file ends here`)
    done += count
  }
}

/** @throws OsflashError `io`, with the path and the byte */
export function writeRange(file: OpenedFile, offset: number, bytes: Uint8Array): void {
  let done = 0
  while (done < bytes.length) {
    try {
      done += writeSync(file.fd, bytes, done, bytes.length - done, offset + done)
    } catch (cause) {
      throw ioError(`writing ${file.path} at byte ${offset + done}`, cause)
    }
  }
}
