/**
 * Where a disk image is written: a regular file or a block device, behind one interface.
 *
 * 1. Look first, then open: refusals and the plan come before the first change.
 * 2. A new file grows under a name of its own (`TARGET.partial`) and gets the real one when it
 *    is complete. A file or device that exists is written in place, if the caller said so.
 * 3. Two descriptors: one with `O_DIRECT` for aligned pieces, a buffered one for the rest. File
 *    systems without `O_DIRECT` (some network ones) use the buffered one alone.
 * 4. Zeros are made by the kernel (zero-fill.ts); where it cannot, they are written.
 * 5. Reading back is direct too, so that it sees the disk and not the page cache; for what is not
 *    aligned the cache is dropped before.
 * 6. A target has an identity, so that a checkpoint is never applied to another one.
 */

import { constants, type Stats } from 'node:fs'
import {
  type FileHandle,
  link,
  lstat,
  open,
  readlink,
  rename,
  stat,
  unlink,
} from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../errors.ts'
import { describeBlockDevice } from '../system/block-device.ts'
import { type DiskKind, diskKindOf } from '../system/disk-kind.ts'
import { run } from '../system/run.ts'
import { syncFolder } from '../system/sync-folder.ts'
import { DIRECT_ALIGN_BYTES } from './disk-range.ts'
import type { DiskRange } from './plan.ts'
import { makeZeroFill } from './zero-fill.ts'

export interface Target extends AsyncDisposable {
  readonly path: string
  readonly bytes: number
  /** Sector size of a block device; files have none. */
  readonly sectorBytes?: number
  /** Of the device, or of the disk below a file. */
  readonly diskKind: DiskKind
  /** What a checkpoint belongs to: this very file or disk, whatever it is called. */
  readonly identity: string
  /** Made by this run: reads as zero wherever nothing was written. */
  readonly blank: boolean
  /** Whether reading back reaches the disk. */
  readonly direct: boolean
  write(offset: number, bytes: Uint8Array): Promise<void>
  read(offset: number, into: Uint8Array): Promise<void>
  zero(offset: number, length: number): Promise<void>
  /** Several ranges for the price of one; one call at a time. */
  zeroAll(ranges: readonly DiskRange[], signal?: AbortSignal): Promise<void>
  /** All that was written is on the disk. */
  sync(): Promise<void>
  /** Makes later reads that are not direct come from the disk; call after `sync`. */
  dropCache(): Promise<void>
  /** Gives a new file its real name. */
  publish(): Promise<void>
}

export interface TargetOptions {
  readonly path: string
  /** Size of a new file; default: that of the file an earlier run left, or `leastBytes`. */
  readonly fileBytes?: number
  /** The smallest disk that the image fits. */
  readonly leastBytes: number
  /** Go on with what an earlier run left. */
  readonly resume: boolean
  /** Write into a file or a device that exists. */
  readonly overwrite: boolean
  readonly signal?: AbortSignal
}

/** What stands at the path of a target. */
export interface TargetPlace {
  readonly kind: 'device' | 'file' | 'new'
  readonly bytes: number
  /** Sector size of a block device; files have none. */
  readonly sectorBytes?: number
  /** Of what is there now; absent when there is nothing to go on with. */
  readonly identity?: string
}

/**
 * Says what `openTarget` would open; changes nothing.
 * @throws OsflashError `refused` (exists, busy, another size), `io`
 */
export async function lookAtTarget(options: TargetOptions): Promise<TargetPlace> {
  const { path } = options
  const existing = await statOf(path)
  if (existing === undefined) return lookAtPartial(options)
  const device = await describeBlockDevice(path)
  if (device !== undefined) {
    if (device.users.length > 0) throw busy(path, device.users.join(', '))
    const { bytes, sectorBytes, identity } = device
    return { kind: 'device', bytes, sectorBytes, identity }
  }
  if (!existing.isFile() || !options.overwrite) {
    throw new OsflashError('refused', `unpacking to ${path}: it exists`, {
      hints: existing.isFile() ? ['--force writes into it'] : ['choose another --to'],
    })
  }
  return { kind: 'file', bytes: existing.size, identity: fileIdentity('file', existing) }
}

async function lookAtPartial(options: TargetOptions): Promise<TargetPlace> {
  const { fileBytes, leastBytes, resume } = options
  const path = partialPath(options.path)
  const partial = await statOf(path)
  if (partial !== undefined && !partial.isFile()) {
    throw new OsflashError('refused', `unpacking to ${options.path}: ${path} is in the way`, {
      hints: ['it is no regular file; remove it, or choose another --to'],
    })
  }
  if (!resume || partial === undefined) return { kind: 'new', bytes: fileBytes ?? leastBytes }
  const bytes = fileBytes ?? partial.size
  if (bytes !== partial.size) {
    throw new OsflashError(
      'refused',
      `resuming ${options.path}: it was begun with ${partial.size} bytes, not ${bytes}`,
      { hints: [`--size ${partial.size}`, 'run without --resume to start again'] },
    )
  }
  return { kind: 'new', bytes, identity: fileIdentity('new', partial) }
}

const fileIdentity = (kind: string, { dev, ino, birthtimeMs }: Stats): string =>
  `${kind} ${dev}:${ino}:${Math.round(birthtimeMs)}`

/**
 * Opens the target that was looked at. Without `goOn` a new file is made, and what an earlier
 * run left is removed; nothing else is changed yet.
 * @throws OsflashError `refused` (busy, replaced since it was looked at), `io`
 */
export async function openTarget(
  options: TargetOptions,
  place: TargetPlace,
  goOn: boolean,
): Promise<Target> {
  const { bytes, kind } = place
  const path = kind === 'new' ? partialPath(options.path) : options.path
  const blank = kind === 'new' && !goOn
  if (blank) await removeOld(path)
  const { O_RDWR, O_EXCL, O_CREAT, O_NOFOLLOW } = constants
  const flags = { device: O_EXCL, file: 0, new: O_NOFOLLOW | (blank ? O_CREAT | O_EXCL : 0) }
  const handles = await openHandles(path, O_RDWR | flags[kind])
  try {
    if (blank) await sizeNewFile(handles.buffered, path, bytes)
    const stats = await handles.buffered.stat()
    const identity = kind === 'device' ? (place.identity ?? '') : fileIdentity(kind, stats)
    if (!blank && identity !== place.identity) {
      throw new OsflashError('refused', `opening ${path}: it was replaced a moment ago`, {
        hints: ['run again'],
      })
    }
    const device = kind === 'device'
    const diskKind = await diskKindOf(device ? stats.rdev : stats.dev)
    const { sectorBytes } = place
    const held = `/proc/${await readlink('/proc/self')}/fd/${handles.buffered.fd}`
    const parts = { ...handles, options, path, held, bytes, blank, identity, device, diskKind }
    return makeTarget(parts, sectorBytes)
  } catch (error) {
    await closeHandles(handles)
    throw error
  }
}

async function removeOld(path: string): Promise<void> {
  await unlink(path).catch((cause: unknown) => {
    if (errnoOf(cause) !== 'ENOENT') throw ioError(`removing ${path}`, cause)
  })
}

async function sizeNewFile(file: FileHandle, path: string, bytes: number): Promise<void> {
  await file.truncate(bytes).catch((cause: unknown) => {
    throw ioError(`resizing ${path} to ${bytes} bytes`, cause)
  })
}

/** Where a new file grows. */
const PARTIAL = '.partial'
const partialPath = (path: string): string => `${path}${PARTIAL}`

/** Links are followed for what the operator named, never for what this program made. */
async function statOf(path: string): Promise<Stats | undefined> {
  return (path.endsWith(PARTIAL) ? lstat : stat)(path).catch((cause: unknown) => {
    if (errnoOf(cause) === 'ENOENT') return undefined
    throw ioError(`looking at ${path}`, cause)
  })
}

interface Handles {
  readonly buffered: FileHandle
  readonly direct: FileHandle | undefined
}

async function openHandles(path: string, flags: number): Promise<Handles> {
  const buffered = await open(path, flags, 0o600).catch((cause: unknown) => {
    if (errnoOf(cause) === 'EBUSY') throw busy(path, 'the kernel says so')
    throw ioError(`opening ${path}`, cause)
  })
  // The exclusive claim is the first descriptor's; the second must not ask for it again.
  const flagsDirect = constants.O_RDWR | constants.O_DIRECT
  const direct = await open(`/proc/self/fd/${buffered.fd}`, flagsDirect).catch(() => undefined)
  return { buffered, direct }
}

async function closeHandles({ buffered, direct }: Handles): Promise<void> {
  await Promise.all([buffered.close(), direct?.close()])
}

interface TargetParts extends Handles {
  readonly options: TargetOptions
  /** Where the bytes go now. */
  readonly path: string
  /** The same for other programs, whatever has that name by then. */
  readonly held: string
  readonly bytes: number
  readonly blank: boolean
  readonly identity: string
  readonly device: boolean
  readonly diskKind: DiskKind
}

function makeTarget(parts: TargetParts, sectorBytes?: number): Target {
  const { buffered, direct, path, options } = parts
  const handleFor = (offset: number, bytes: Uint8Array): FileHandle =>
    direct !== undefined && fitsDirect(offset, bytes) ? direct : buffered
  const write = (offset: number, bytes: Uint8Array): Promise<void> =>
    writeFully(parts, handleFor(offset, bytes), { offset, bytes })
  const zeroAll = makeZeroFill({
    path: parts.held,
    device: parts.device,
    write,
  })
  return {
    path: options.path,
    bytes: parts.bytes,
    blank: parts.blank,
    identity: parts.identity,
    diskKind: parts.diskKind,
    direct: direct !== undefined,
    ...(sectorBytes === undefined ? {} : { sectorBytes }),
    write,
    read: (offset, into) => readFully(parts, handleFor(offset, into), { offset, bytes: into }),
    zero: (offset, length) => zeroAll([{ offset, length }], options.signal),
    zeroAll: (ranges, signal = options.signal) => zeroAll(ranges, signal),
    sync: async () => {
      await buffered.sync().catch((cause: unknown) => {
        throw ioError(`flushing ${path}`, cause)
      })
    },
    dropCache: async () => {
      await run(['dd', `if=${parts.held}`, 'iflag=nocache', 'count=0', 'status=none'])
    },
    publish: async () => {
      if (path !== options.path) await giveName(path, options.path)
    },
    [Symbol.asyncDispose]: () => closeHandles(parts),
  }
}

/** Other memory than that of shared-buffers.ts may lie anywhere, which the kernel refuses. */
function fitsDirect(offset: number, bytes: Uint8Array): boolean {
  const aligned = [offset, bytes.length, bytes.byteOffset].every(
    (number) => number % DIRECT_ALIGN_BYTES === 0,
  )
  return aligned && bytes.buffer instanceof SharedArrayBuffer
}

interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array
}

async function writeFully(parts: TargetParts, handle: FileHandle, piece: Piece): Promise<void> {
  const { offset, bytes } = piece
  let done = 0
  while (done < bytes.length) {
    // A short direct write leaves an odd rest, which only the buffered descriptor takes.
    const by = done % DIRECT_ALIGN_BYTES === 0 ? handle : parts.buffered
    const written = await by
      .write(bytes, done, bytes.length - done, offset + done)
      .catch((cause: unknown) => {
        throw ioError(`writing ${parts.path} at byte ${offset + done}`, cause)
      })
    done += written.bytesWritten
  }
}

async function readFully(parts: TargetParts, handle: FileHandle, piece: Piece): Promise<void> {
  const { offset, bytes } = piece
  let done = 0
  while (done < bytes.length) {
    const place = `reading ${parts.path} at byte ${offset + done}`
    const by = done % DIRECT_ALIGN_BYTES === 0 ? handle : parts.buffered
    const { bytesRead } = await by
      .read(bytes, done, bytes.length - done, offset + done)
      .catch((cause: unknown) => {
        throw ioError(place, cause)
      })
    if (bytesRead === 0) throw new OsflashError('io', `${place}: the target ends here`)
    done += bytesRead
  }
}

/** Somebody may have taken the name since it was looked at: `link` refuses, `rename` would not. */
async function giveName(from: string, to: string): Promise<void> {
  try {
    await link(from, to).catch((cause: unknown) => {
      // File systems without hard links (vfat, some network ones).
      if (errnoOf(cause) === 'EEXIST') throw cause
      return rename(from, to)
    })
    await unlink(from).catch((cause: unknown) => {
      if (errnoOf(cause) !== 'ENOENT') throw cause
    })
    await syncFolder(dirname(to))
  } catch (cause) {
    throw ioError(`renaming ${from} to ${to}`, cause)
  }
}

function busy(path: string, why: string): OsflashError {
  return new OsflashError('refused', `opening ${path}: it is in use (${why})`, {
    data: { path },
    hints: ['unmount it, and stop swap, RAID, LVM or dm-crypt on it', 'lsblk shows what uses it'],
  })
}
