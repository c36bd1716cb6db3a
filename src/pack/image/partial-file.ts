/**
 * A file that appears under its final name whole, or not at all.
 *
 * 1. It is made as `NAME.partial`, which must not exist: two runs cannot write one image.
 * 2. `commit` flushes it, renames it and flushes the folder.
 * 3. Leaving the block before that (failure, cancelling) removes it.
 *
 * Not promised: removal after SIGKILL or a power cut; the next run says what to remove.
 */

import { access, type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, ioError, OsflashError, throwIfCancelled } from '../../errors.ts'
import { syncFolder } from '../../system/sync-folder.ts'

export interface PartialFile extends AsyncDisposable {
  /** The path under which it is written. */
  readonly path: string
  readonly handle: FileHandle
  /** Sets its size; what is never written reads as zeros. @throws OsflashError `io` */
  resize(bytes: number): Promise<void>
  /** Writes all of `bytes`. @throws OsflashError `io` */
  write(bytes: Uint8Array, offset: number): Promise<void>
  /**
   * Ends with the file under its final name.
   * @throws OsflashError `io`; `refused` when the name was taken meanwhile; `cancelled`
   */
  commit(signal: AbortSignal | undefined): Promise<void>
}

export interface PartialFileOptions {
  /** The final path. */
  readonly path: string
  /** Replaces a file of that name. */
  readonly force: boolean
  /** Permissions before the umask; 0644 without it. */
  readonly mode?: number
}

/** @throws OsflashError `refused` when the final or the partial name is taken, `io` */
export async function createPartialFile(options: PartialFileOptions): Promise<PartialFile> {
  const path = `${options.path}.partial`
  await refuseExisting(options)
  const handle = await open(path, 'wx', options.mode ?? 0o644).catch((cause: unknown) => {
    throw errnoOf(cause) === 'EEXIST' ? taken(path) : ioError(`creating ${path}`, cause)
  })
  let committed = false
  const commit = async (signal: AbortSignal | undefined): Promise<void> => {
    await doing(`flushing ${path}`, () => handle.sync())
    throwIfCancelled(signal)
    await handle.close()
    await refuseExisting(options)
    await doing(`renaming ${path} to ${options.path}`, () => rename(path, options.path))
    committed = true
    await doing(`flushing the folder of ${options.path}`, () => syncFolder(dirname(options.path)))
  }
  const dispose = async (): Promise<void> => {
    if (committed) return
    await handle.close().catch(() => undefined)
    await doing(`removing ${path}`, () => rm(path, { force: true }))
  }
  const resize = (bytes: number): Promise<void> =>
    doing(`resizing ${path}`, () => handle.truncate(bytes))
  const write = (bytes: Uint8Array, offset: number): Promise<void> =>
    doing(`writing ${path} at byte ${offset}`, () => writeWhole(handle, bytes, offset))
  return { path, handle, resize, write, commit, [Symbol.asyncDispose]: dispose }
}

/** A disk that fills up may take the first part of a write without an error. */
async function writeWhole(handle: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, offset + done)
    done += bytesWritten
  }
}

async function refuseExisting({ path, force }: PartialFileOptions): Promise<void> {
  if (force) return
  const absent = await access(path).then(
    () => false,
    (cause: unknown) => errnoOf(cause) === 'ENOENT',
  )
  if (absent) return
  throw new OsflashError('refused', `writing ${path}: already exists`, {
    hints: ['choose another name, or replace it with --force'],
  })
}

function taken(path: string): OsflashError {
  return new OsflashError('refused', `creating ${path}: already exists`, {
    hints: [`when no other run is writing it: rm ${path}`],
  })
}

async function doing(what: string, work: () => Promise<void>): Promise<void> {
  await work().catch((cause: unknown) => {
    throw ioError(what, cause)
  })
}
