/**
 * The files of the payloads, opened once for all workers.
 *
 * 1. A payload is a range of a regular file or a block device, which must be there in full.
 * 2. Descriptors are the process's, so workers read through those that are opened here.
 * 3. They are closed when the block is left, also when a later one could not be opened.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { ioError, OsflashError } from '../../errors.ts'
import type { PayloadSource } from '../source.ts'
import type { OpenedPayload } from './jobs.ts'
import { makeRangeTable } from './unused.ts'

export interface OpenedPayloads extends AsyncDisposable {
  readonly opened: readonly OpenedPayload[]
}

/** @throws OsflashError `io`, naming the file */
export async function openPayloads(sources: readonly PayloadSource[]): Promise<OpenedPayloads> {
  await using handles = new AsyncDisposableStack()
  const opened: OpenedPayload[] = []
  for (const { path, range, unused } of sources) {
    const handle = await open(path, 'r').catch((cause: unknown) => {
      throw ioError(`opening ${path}`, cause)
    })
    handles.use(handle)
    await checkFile(handle, path, range.offset + range.length)
    const table = makeRangeTable(unused, range.length)
    opened.push({ path, fd: handle.fd, fileOffset: range.offset, unused: table })
  }
  const kept = handles.move()
  return { opened, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

async function checkFile(handle: FileHandle, path: string, end: number): Promise<void> {
  const stat = await handle.stat()
  // The size of a block device is not in its metadata; a short one shows when it is read.
  if (stat.isBlockDevice()) return
  if (!stat.isFile()) throw new OsflashError('io', `opening ${path}: not a file or block device`)
  if (stat.size >= end) return
  throw new OsflashError('io', `opening ${path}: ${stat.size} bytes where ${end} belong`, {
    data: { path, bytes: stat.size, expected: end },
  })
}
