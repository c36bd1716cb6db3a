/**
 * Owner, mode and time of what was written.
 *
 * 1. Order: owner, then mode (changing the owner clears set-user-ID), then time.
 * 2. Owners go by number; the names in the tar belong to another machine.
 * 3. Root restores all. Any other user keeps what belongs to itself; for the rest the owner is
 *    left out, and with it set-user-ID and set-group-ID, which would lend the wrong rights. One
 *    note says so.
 *
 * Not promised: times below a microsecond (Node passes a double), the time of access (set to
 * that of modification), the time of change.
 */
import {
  chmodSync,
  fchmodSync,
  fchownSync,
  futimesSync,
  lchownSync,
  lutimesSync,
  type PathLike,
} from 'node:fs'
import type { Emit } from '../../events.ts'
import type { Metadata } from '../../format/tree/tar-entry.ts'

const WITHOUT_SET_ID = 0o1777

export class MetadataWriter {
  readonly #emit: Emit
  readonly #uid = process.geteuid?.() ?? 0
  readonly #gid = process.getegid?.() ?? 0
  #noted = false

  constructor(emit: Emit) {
    this.#emit = emit
  }

  /** True when every owner, device node and attribute may be restored. */
  get isRoot(): boolean {
    return this.#uid === 0
  }

  /** Owner, mode and time of an open file. */
  toDescriptor(fd: number, metadata: Metadata): void {
    if (this.#ownable(metadata)) fchownSync(fd, metadata.uid, metadata.gid)
    fchmodSync(fd, this.#mode(metadata))
    futimesSync(fd, timeOf(metadata), timeOf(metadata))
  }

  /** Owner and time of a symbolic link; it has no mode. */
  toSymlink(path: PathLike, metadata: Metadata): void {
    this.owner(path, metadata)
    lutimesSync(path, timeOf(metadata), timeOf(metadata))
  }

  /** The owner alone; call it before `modeAndTime`. */
  owner(path: PathLike, metadata: Metadata): void {
    if (this.#ownable(metadata)) lchownSync(path, metadata.uid, metadata.gid)
  }

  /** Mode and time of what is no symbolic link. */
  modeAndTime(path: PathLike, metadata: Metadata): void {
    chmodSync(path, this.#mode(metadata))
    lutimesSync(path, timeOf(metadata), timeOf(metadata))
  }

  #mode(metadata: Metadata): number {
    return this.#ownable(metadata) ? metadata.mode : metadata.mode & WITHOUT_SET_ID
  }

  #ownable({ uid, gid }: Metadata): boolean {
    if (this.isRoot || (uid === this.#uid && gid === this.#gid)) return true
    if (!this.#noted) {
      this.#noted = true
      const text =
        'owners of the tree are not restored, nor set-user-ID and set-group-ID: only root may'
      this.#emit({ event: 'note', text })
    }
    return false
  }
}

/** Node takes a negative number for "now"; a Date before 1970 it takes as it is. */
function timeOf({ mtime }: Metadata): number | Date {
  return mtime < 0 ? new Date(mtime * 1000) : mtime
}
