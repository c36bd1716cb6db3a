/**
 * Makes the entries of a batch, in any thread.
 *
 * 1. A file is opened with O_CREAT, O_EXCL and O_NOFOLLOW and mode 0600, written from the memory
 *    of the frames, given owner, mode and time, closed.
 * 2. A piece of a file that spans frames goes to its place in the descriptor that the main thread
 *    opened and will close.
 * 3. Directories are there already; their owner, mode and time are set.
 * 4. All calls are synchronous: an await for each costs more than the call.
 *
 * Not promised: anything about the rest of a batch after a failure.
 */
import { closeSync, constants, openSync, symlinkSync, writeSync } from 'node:fs'
import { ioError, type OsflashError } from '../../errors.ts'
import { showPath } from '../../format/tree/tree-path.ts'
import { type ContentRange, readBatch, type TreeRecord } from './tree-batch.ts'
import { setOnDescriptor, setOnPath, setOnSymlink } from './tree-metadata.ts'
import { onDisk, pathOnDisk } from './tree-target.ts'

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const PRIVATE_FILE_MODE = 0o600

/**
 * Does all that the batch in this slot asks for.
 * @param content what the records' content ranges point into
 * @throws OsflashError `io`, naming the entry
 */
export function makeEntries(slot: Uint8Array, content: ArrayBufferLike): void {
  const { directory, records } = readBatch(slot)
  for (const record of records) makeEntry(record, { directory, content })
}

/** Opens a file that must not exist, for writing. @throws a system error */
export function openNew(path: string | Buffer): number {
  return openSync(path, NEW_FILE, PRIVATE_FILE_MODE)
}

/** Runs system calls for an entry. @throws OsflashError `io`: `DOING "PATH" of the tree: ...` */
export function attempt<Result>(doing: string, path: string, act: () => Result): Result {
  try {
    return act()
  } catch (cause) {
    throw treeIoError(doing, path, cause)
  }
}

function treeIoError(doing: string, path: string, cause: unknown): OsflashError {
  return ioError(`${doing} ${showPath(path)} of the tree`, cause)
}

interface Surroundings {
  readonly directory: string
  readonly content: ArrayBufferLike
}

function makeEntry(record: TreeRecord, around: Surroundings): void {
  switch (record.kind) {
    case 'file':
      makeFile(record, around)
      return
    case 'piece':
      attempt('writing', record.path, () =>
        writeAll(record.to.fd, view(record.content, around), record.to.position),
      )
      return
    case 'symlink':
      attempt('making symbolic link', record.path, () => {
        const path = pathOnDisk(around, record.path)
        symlinkSync(onDisk(record.target), path)
        setOnSymlink(path, record.set)
      })
      return
    case 'directory':
      attempt('setting owner, mode and time of directory', record.path, () =>
        setOnPath(pathOnDisk(around, record.path), record.set),
      )
  }
}

function makeFile(record: TreeRecord & { kind: 'file' }, around: Surroundings): void {
  const { path, content, set } = record
  const onPath = pathOnDisk(around, path)
  const fd = attempt('making', path, () => openNew(onPath))
  try {
    if (content.bytes > 0) attempt('writing', path, () => writeAll(fd, view(content, around), 0))
    attempt('finishing', path, () => setOnDescriptor(fd, set))
  } finally {
    closeSync(fd)
  }
}

function view({ from, bytes }: ContentRange, { content }: Surroundings): Uint8Array {
  return new Uint8Array(content, from, bytes)
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) {
    at += writeSync(fd, bytes, at, bytes.length - at, position + at)
  }
}
