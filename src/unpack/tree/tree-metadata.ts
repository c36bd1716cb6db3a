/**
 * Owner, mode and time of what was written.
 *
 * 1. Order: owner, then mode (changing the owner clears set-user-ID), then time.
 * 2. Owners go by number; the names in the tar belong to another machine.
 * 3. Root restores all. Any other user keeps what belongs to itself; for the rest the owner is
 *    left out, and with it set-user-ID and set-group-ID, which would lend the wrong rights. One
 *    note says so.
 * 4. What is to be set is decided once, by the main thread; any thread sets it.
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

/** What this user may set of an entry's metadata. */
export interface Settable {
  /** Both are -1 when the owner is left as it is. */
  readonly uid: number
  readonly gid: number
  /** -1: mode and time are set later, after the extended attributes. */
  readonly mode: number
  /** Seconds since 1970, negative before. */
  readonly mtime: number
}

/** Decides for the user that runs this. */
export class MetadataRules {
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

  settable({ uid, gid, mode, mtime }: Metadata): Settable {
    if (this.isRoot || (uid === this.#uid && gid === this.#gid)) return { uid, gid, mode, mtime }
    if (!this.#noted) {
      this.#noted = true
      const text =
        'owners of the tree are not restored, nor set-user-ID and set-group-ID: only root may'
      this.#emit({ event: 'note', text })
    }
    return { uid: -1, gid: -1, mode: mode & WITHOUT_SET_ID, mtime }
  }
}

/** Only the owner now; `modeAndTime` follows when the attributes are set. */
export function ownerOnly(set: Settable): Settable {
  return { ...set, mode: -1 }
}

/** Owner, mode and time of an open file. */
export function setOnDescriptor(fd: number, { uid, gid, mode, mtime }: Settable): void {
  if (uid !== -1) fchownSync(fd, uid, gid)
  if (mode === -1) return
  fchmodSync(fd, mode)
  futimesSync(fd, timeOf(mtime), timeOf(mtime))
}

/** Owner and time of a symbolic link; it has no mode. */
export function setOnSymlink(path: PathLike, set: Settable): void {
  setOwner(path, set)
  lutimesSync(path, timeOf(set.mtime), timeOf(set.mtime))
}

/** Owner, mode and time of what is no symbolic link. */
export function setOnPath(path: PathLike, set: Settable): void {
  setOwner(path, set)
  if (set.mode !== -1) setModeAndTime(path, set)
}

/** The owner alone. */
export function setOwner(path: PathLike, { uid, gid }: Settable): void {
  if (uid !== -1) lchownSync(path, uid, gid)
}

/** Mode and time of what is no symbolic link. */
export function setModeAndTime(path: PathLike, { mode, mtime }: Settable): void {
  chmodSync(path, mode)
  lutimesSync(path, timeOf(mtime), timeOf(mtime))
}

/** Node takes a negative number for "now"; a Date before 1970 it takes as it is. */
function timeOf(mtime: number): number | Date {
  return mtime < 0 ? new Date(mtime * 1000) : mtime
}
