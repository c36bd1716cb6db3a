/**
 * Writes the entries of a tree, one after another, below the target.
 *
 * 1. A file is opened with O_CREAT, O_EXCL and O_NOFOLLOW, written as its content comes, given
 *    owner, mode and time, closed. Nothing of it is kept in memory.
 * 2. Directories are made with mode 0700; their own owner, mode and time come at the end, the
 *    deepest first, because writing below would change the time and may need the permission.
 * 3. Device nodes and fifos are made by `mknod`. Devices are root's; other users are refused.
 * 4. Small things are done with synchronous calls: an await for each costs more than the call.
 *    Pieces of content from 256 KiB are written asynchronously, so that other work goes on.
 *
 * Not promised: that anything is on the disk after a power cut; syncing is the caller's phase.
 */
import {
  closeSync,
  constants,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  write,
  writeSync,
} from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ioError, OsflashError, throwIfCancelled } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import type { TarEvent } from '../../format/tree/tar-check.ts'
import type {
  DirectoryEntry,
  FileEntry,
  SpecialEntry,
  TarEntry,
} from '../../format/tree/tar-entry.ts'
import { showPath } from '../../format/tree/tree-path.ts'
import { KIB } from '../../units.ts'
import { makeSpecialFile } from './special-file.ts'
import { MetadataWriter } from './tree-metadata.ts'
import {
  isThere,
  onDisk,
  openTarget,
  PRIVATE_DIRECTORY_MODE,
  pathOnDisk,
  type TreeTarget,
} from './tree-target.ts'
import { XattrBatch } from './tree-xattrs.ts'

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const PRIVATE_FILE_MODE = 0o600
const ASYNC_FROM_BYTES = 256 * KIB
/** How many directories are finished before the event loop gets a turn (about 20 ms). */
const DIRECTORIES_A_TURN = 1_000

const writeAsync = promisify(write)

interface OpenFile {
  readonly fd: number
  readonly entry: FileEntry
}

export interface TreeBuilderOptions {
  readonly target: TreeTarget
  readonly emit: Emit
  readonly signal: AbortSignal | undefined
}

export class TreeBuilder {
  readonly #target: TreeTarget
  readonly #signal: AbortSignal | undefined
  readonly #metadata: MetadataWriter
  readonly #xattrs: XattrBatch
  readonly #directories: DirectoryEntry[] = []
  #file: OpenFile | undefined

  constructor({ target, emit, signal }: TreeBuilderOptions) {
    this.#target = target
    this.#signal = signal
    this.#metadata = new MetadataWriter(emit)
    const isRoot = this.#metadata.isRoot
    this.#xattrs = new XattrBatch({ target, emit, signal, isRoot })
  }

  /**
   * Does what an event asks for; a promise only where there is something to wait for. The bytes
   * of the event are not needed any more when it is settled.
   * @throws OsflashError `io`, `refused`, `missing-tool`, `process`, `cancelled`
   */
  take(event: TarEvent): Promise<void> | undefined {
    if (event.kind === 'entry') return this.#begin(event.entry)
    if (event.bytes.length >= ASYNC_FROM_BYTES) return this.#writeLarge(event.bytes, event.last)
    this.#writeSmall(event.bytes)
    return event.last ? this.#finishFile() : undefined
  }

  /** Attributes, then the directories. @throws OsflashError as `take` */
  async finish(): Promise<void> {
    await this.#xattrs.flush()
    const deepestFirst = this.#directories.toReversed()
    for (const entry of deepestFirst) {
      attempt('setting the owner of directory', entry, () =>
        this.#metadata.owner(pathOnDisk(this.#target, entry.path), entry),
      )
      if (this.#xattrs.restorable(entry).length > 0) await this.#xattrs.add(entry)
    }
    await this.#xattrs.flush()
    for (const [done, entry] of deepestFirst.entries()) {
      attempt('setting mode and time of directory', entry, () =>
        this.#metadata.modeAndTime(pathOnDisk(this.#target, entry.path), entry),
      )
      if (done % DIRECTORIES_A_TURN === 0) await nextTurn()
      throwIfCancelled(this.#signal)
    }
    if (deepestFirst.at(-1)?.path !== '') openTarget(this.#target)
  }

  /** Closes what is open; for a run that failed. */
  close(): void {
    if (this.#file === undefined) return
    const { fd } = this.#file
    this.#file = undefined
    closeSync(fd)
  }

  #begin(entry: TarEntry): Promise<void> | undefined {
    const path = pathOnDisk(this.#target, entry.path)
    switch (entry.kind) {
      case 'file':
        this.#file = { entry, fd: attempt('making', entry, () => openNew(path)) }
        return entry.bytes === 0 ? this.#finishFile() : undefined
      case 'directory':
        this.#makeDirectory(entry)
        return undefined
      case 'symlink':
        return this.#makeSymlink(path, entry)
      case 'hard-link':
        attempt('linking', entry, () => linkSync(pathOnDisk(this.#target, entry.target), path))
        return undefined
      case 'device':
      case 'fifo':
        return this.#makeSpecial(path, entry)
    }
  }

  #makeDirectory(entry: DirectoryEntry): void {
    this.#directories.push(entry)
    if (isThere(this.#target, entry.path)) return
    const path = pathOnDisk(this.#target, entry.path)
    attempt('making directory', entry, () => mkdirSync(path, PRIVATE_DIRECTORY_MODE))
  }

  #makeSymlink(path: string | Buffer, entry: TarEntry & { kind: 'symlink' }) {
    attempt('making symbolic link', entry, () => {
      symlinkSync(onDisk(entry.target), path)
      this.#metadata.toSymlink(path, entry)
    })
    return this.#xattrs.restorable(entry).length > 0 ? this.#xattrs.add(entry) : undefined
  }

  async #makeSpecial(path: string | Buffer, entry: SpecialEntry): Promise<void> {
    if (entry.kind === 'device' && !this.#metadata.isRoot) {
      throw new OsflashError('refused', `making device ${showPath(entry.path)}: only root may`, {
        hints: ['run as root'],
      })
    }
    await makeSpecialFile(path, entry, this.#signal)
    attempt('setting owner and mode of', entry, () => {
      this.#metadata.owner(path, entry)
      this.#metadata.modeAndTime(path, entry)
    })
    if (this.#xattrs.restorable(entry).length > 0) await this.#xattrs.add(entry)
  }

  #writeSmall(bytes: Buffer): void {
    const { fd, entry } = this.#opened()
    attempt('writing', entry, () => {
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
    })
  }

  async #writeLarge(bytes: Buffer, last: boolean): Promise<void> {
    const { fd, entry } = this.#opened()
    try {
      for (let at = 0; at < bytes.length; ) {
        at += (await writeAsync(fd, bytes, at, bytes.length - at, null)).bytesWritten
      }
    } catch (cause) {
      throw treeIoError('writing', entry, cause)
    }
    if (last) await this.#finishFile()
  }

  #finishFile(): Promise<void> | undefined {
    const { fd, entry } = this.#opened()
    const withXattrs = this.#xattrs.restorable(entry).length > 0
    attempt('finishing', entry, () => {
      if (!withXattrs) this.#metadata.toDescriptor(fd, entry)
      this.#file = undefined
      closeSync(fd)
    })
    return withXattrs ? this.#finishWithXattrs(entry) : undefined
  }

  #finishWithXattrs(entry: FileEntry): Promise<void> {
    const path = pathOnDisk(this.#target, entry.path)
    attempt('setting the owner of', entry, () => this.#metadata.owner(path, entry))
    return this.#xattrs.add(entry, () =>
      attempt('setting mode and time of', entry, () => this.#metadata.modeAndTime(path, entry)),
    )
  }

  #opened(): OpenFile {
    if (this.#file === undefined) throw new RangeError('content without a file')
    return this.#file
  }
}

function openNew(path: string | Buffer): number {
  return openSync(path, NEW_FILE, PRIVATE_FILE_MODE)
}

function attempt<Result>(doing: string, entry: TarEntry, act: () => Result): Result {
  try {
    return act()
  } catch (cause) {
    throw treeIoError(doing, entry, cause)
  }
}

function treeIoError(doing: string, entry: TarEntry, cause: unknown): OsflashError {
  return ioError(`${doing} ${showPath(entry.path)} of the tree`, cause)
}
