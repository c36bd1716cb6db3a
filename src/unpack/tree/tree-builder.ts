/**
 * Writes the entries of a tree below the target: decides here, has it done by the crew.
 *
 * 1. Directories are made here and at once, with mode 0700, so that what comes later finds its
 *    parent. Everything else may be made in any order, and goes to the crew (tree-crew.ts).
 * 2. A file whose content lies in one chunk is one record. A larger one is opened here; its pieces
 *    are written by the crew at their places, zeros between frames stay a hole, and when the last
 *    piece is written it is given owner, mode and time, and closed (open-file.ts).
 * 3. Device nodes and fifos are made by `mknod`. Devices are root's; other users are refused.
 * 4. At the end, when all files are there: hard links, attributes, then owner, mode and time of
 *    the directories, the deepest first, because writing below would change the time and may need
 *    the permission. Directories of one depth are done side by side.
 *
 * Not promised: that anything is on the disk after a power cut; syncing is the caller's phase.
 */
import { linkSync, mkdirSync } from 'node:fs'
import { OsflashError, throwIfCancelled } from '../../errors.ts'
import type { Emit } from '../../events.ts'
import type { TarEvent } from '../../format/tree/tar-check.ts'
import type {
  DirectoryEntry,
  FileEntry,
  HardLinkEntry,
  SpecialEntry,
  TarEntry,
} from '../../format/tree/tar-entry.ts'
import { showPath } from '../../format/tree/tree-path.ts'
import { attempt } from './make-entries.ts'
import { OpenFile } from './open-file.ts'
import { makeSpecialFile } from './special-file.ts'
import { TreeCrew, type TreeThreads } from './tree-crew.ts'
import { MetadataRules, ownerOnly, setModeAndTime, setOnPath, setOwner } from './tree-metadata.ts'
import {
  isThere,
  openTarget,
  PRIVATE_DIRECTORY_MODE,
  pathOnDisk,
  type TreeTarget,
} from './tree-target.ts'
import { XattrBatch } from './tree-xattrs.ts'

export interface TreeBuilderOptions {
  readonly target: TreeTarget
  readonly emit: Emit
  readonly signal: AbortSignal | undefined
  readonly threads?: TreeThreads | undefined
}

/** What the bytes of a piece of content are. */
type Content = TarEvent & { readonly kind: 'content' }

export class TreeBuilder {
  readonly #target: TreeTarget
  readonly #signal: AbortSignal | undefined
  readonly #rules: MetadataRules
  readonly #xattrs: XattrBatch
  readonly #crew: TreeCrew
  readonly #directories: DirectoryEntry[] = []
  readonly #links: HardLinkEntry[] = []
  readonly #openFiles = new Set<OpenFile>()
  /** A file whose first content is still to come. */
  #announced: FileEntry | undefined
  /** The file that the content belongs to, once it is open here. */
  #file: OpenFile | undefined

  constructor({ target, emit, signal, threads }: TreeBuilderOptions) {
    this.#target = target
    this.#signal = signal
    this.#rules = new MetadataRules(emit)
    this.#crew = new TreeCrew(target.directory, threads)
    const isRoot = this.#rules.isRoot
    const filesMade = () => this.#crew.settled()
    this.#xattrs = new XattrBatch({ target, emit, signal, isRoot, filesMade })
  }

  /**
   * Does what an event asks for, or has it done; a promise only where there is something to wait
   * for. The bytes of the event are needed until `send` says otherwise.
   * @param zeros the content is nothing but zeros
   * @throws OsflashError `io`, `refused`, `missing-tool`, `process`, `cancelled`
   */
  take(event: TarEvent, zeros = false): Promise<void> | undefined {
    if (event.kind === 'entry') return this.#begin(event.entry)
    if (this.#announced === undefined) return this.#goOn(event, zeros)
    const entry = this.#announced
    this.#announced = undefined
    if (event.last && !zeros) return this.#makeFile(entry, event.bytes)
    this.#file = attempt('making', entry.path, () => this.#openFile(entry))
    return this.#goOn(event, zeros)
  }

  /** The promise is kept when nothing needs the bytes of the events so far. */
  send(): Promise<void> {
    return this.#crew.send()
  }

  /** Links, attributes, then the directories. @throws OsflashError as `take` */
  async finish(): Promise<void> {
    await this.#crew.settled()
    for (const entry of this.#links) {
      const [path, target] = [this.#onDisk(entry), pathOnDisk(this.#target, entry.target)]
      attempt('linking', entry.path, () => linkSync(target, path))
    }
    await this.#xattrs.flush()
    await this.#directoryAttributes()
    for (const level of deepestFirst(this.#directories)) {
      for (const entry of level) {
        const set = this.#rules.settable(entry)
        await this.#crew.add({ kind: 'directory', path: entry.path, set })
      }
      await this.#crew.settled()
      throwIfCancelled(this.#signal)
    }
    if (!this.#directories.some(({ path }) => path === '')) openTarget(this.#target)
  }

  /** Waits for what is under way and closes what is open; for a run that failed. */
  async close(): Promise<void> {
    await this.#crew.idle()
    for (const file of this.#openFiles) file.close()
    this.#openFiles.clear()
  }

  #begin(entry: TarEntry): Promise<void> | undefined {
    switch (entry.kind) {
      case 'file':
        if (entry.bytes === 0) return this.#makeFile(entry, undefined)
        this.#announced = entry
        return undefined
      case 'directory':
        this.#makeDirectory(entry)
        return undefined
      case 'symlink': {
        const set = this.#rules.settable(entry)
        const made = this.#crew.add({ ...entry, set })
        return this.#hasXattrs(entry) ? this.#addXattrs(made, entry) : made
      }
      case 'hard-link':
        this.#links.push(entry)
        return undefined
      case 'device':
      case 'fifo':
        return this.#makeSpecial(this.#onDisk(entry), entry)
    }
  }

  #makeDirectory(entry: DirectoryEntry): void {
    this.#directories.push(entry)
    if (isThere(this.#target, entry.path)) return
    const path = this.#onDisk(entry)
    attempt('making directory', entry.path, () => mkdirSync(path, PRIVATE_DIRECTORY_MODE))
  }

  async #makeSpecial(path: string | Buffer, entry: SpecialEntry): Promise<void> {
    if (entry.kind === 'device' && !this.#rules.isRoot) {
      throw new OsflashError('refused', `making device ${showPath(entry.path)}: only root may`, {
        hints: ['run as root'],
      })
    }
    await makeSpecialFile(path, entry, this.#signal)
    const set = this.#rules.settable(entry)
    attempt('setting owner and mode of', entry.path, () => setOnPath(path, set))
    if (this.#hasXattrs(entry)) await this.#xattrs.add(entry)
  }

  #makeFile(entry: FileEntry, bytes: Buffer | undefined): Promise<void> | undefined {
    const { path } = entry
    const set = this.#settableNow(entry)
    const content = { from: bytes?.byteOffset ?? 0, bytes: bytes?.length ?? 0 }
    const context = bytes === undefined ? {} : { content: bytes.buffer }
    const made = this.#crew.add({ kind: 'file', path, set, content }, context)
    return this.#hasXattrs(entry) ? this.#addXattrs(made, entry) : made
  }

  #openFile(entry: FileEntry): OpenFile {
    const file = new OpenFile(this.#onDisk(entry), {
      entry,
      set: this.#settableNow(entry),
      closed: () => this.#openFiles.delete(file),
    })
    this.#openFiles.add(file)
    return file
  }

  #goOn({ bytes, last }: Content, zeros: boolean): Promise<void> | undefined {
    const file = this.#file
    if (file === undefined) throw new RangeError('content without a file')
    if (last) this.#file = undefined
    const written = zeros ? file.skip(bytes.length, last) : file.write(this.#crew, bytes, last)
    return last && this.#hasXattrs(file.entry) ? this.#addXattrs(written, file.entry) : written
  }

  /** Mode and time of what has attributes follow them; attributes wait until the file is there. */
  async #addXattrs(made: Promise<void> | undefined, entry: TarEntry): Promise<void> {
    await made
    if (entry.kind !== 'file') return this.#xattrs.add(entry)
    const path = this.#onDisk(entry)
    const set = this.#rules.settable(entry)
    return this.#xattrs.add(entry, () =>
      attempt('setting mode and time of', entry.path, () => setModeAndTime(path, set)),
    )
  }

  async #directoryAttributes(): Promise<void> {
    for (const entry of this.#directories.filter((one) => this.#hasXattrs(one))) {
      const set = this.#rules.settable(entry)
      attempt('setting the owner of directory', entry.path, () =>
        setOwner(this.#onDisk(entry), set),
      )
      await this.#xattrs.add(entry)
    }
    await this.#xattrs.flush()
  }

  #settableNow(entry: FileEntry) {
    const set = this.#rules.settable(entry)
    return this.#hasXattrs(entry) ? ownerOnly(set) : set
  }

  #hasXattrs(entry: TarEntry): boolean {
    return entry.xattrs.length > 0 && this.#xattrs.restorable(entry).length > 0
  }

  #onDisk({ path }: TarEntry): string | Buffer {
    return pathOnDisk(this.#target, path)
  }
}

/** Directories by depth; those of one depth do not stand in each other's way. */
function deepestFirst(directories: readonly DirectoryEntry[]): readonly DirectoryEntry[][] {
  const levels: DirectoryEntry[][] = []
  for (const entry of directories) {
    const depth = entry.path === '' ? 0 : entry.path.split('/').length
    while (levels.length <= depth) levels.push([])
    levels[depth]?.push(entry)
  }
  return levels.reverse()
}
