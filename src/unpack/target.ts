/**
 * Where a disk image is written: a regular file or a block device, behind one interface.
 *
 * 1. Look first, then open: refusals and the plan come before the first change.
 * 2. A new file grows under a name of its own (`TARGET.partial`) and gets the real one when it
 *    is complete. A file or device that exists is written in place, if the caller said so.
 * 3. Two descriptors: one with `O_DIRECT` for aligned pieces, a buffered one for the rest. File
 *    systems without `O_DIRECT` (some network ones) use the buffered one alone.
 * 4. Zeros are made by `fallocate`; where the file system cannot, they are written.
 * 5. Reading back is direct too, so that it sees the disk and not the page cache.
 */
import { constants, type Stats } from 'node:fs'
import { type FileHandle, link, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, ioError, OsflashError, throwIfCancelled } from '../errors.ts'
import { describeBlockDevice } from '../system/block-device.ts'
import { run } from '../system/run.ts'
import { MIB } from '../units.ts'

/** What direct reading and writing wants of offset, length and address. */
const DIRECT_ALIGN_BYTES = 4_096
/** Below this, writing zeros is cheaper than a process. */
const FALLOCATE_MIN_BYTES = 8 * MIB

export interface Target extends AsyncDisposable {
  readonly path: string
  readonly bytes: number
  /** Sector size of a block device; files have none. */
  readonly sectorBytes?: number
  /** Reads as zero wherever nothing was written. */
  readonly blank: boolean
  /** Whether reading back reaches the disk. */
  readonly direct: boolean
  write(offset: number, bytes: Uint8Array): Promise<void>
  read(offset: number, into: Uint8Array): Promise<void>
  zero(offset: number, length: number): Promise<void>
  /** All that was written is on the disk. */
  sync(): Promise<void>
  /** Gives a new file its real name. */
  publish(): Promise<void>
}

export interface TargetOptions {
  readonly path: string
  /** Size of a new file. */
  readonly fileBytes: number
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
  /** An earlier run may have written here: always so for a device or file that exists. */
  readonly used: boolean
}

/**
 * Says what `openTarget` would open; changes nothing.
 * @throws OsflashError `refused` (exists, busy), `io`
 */
export async function lookAtTarget(options: TargetOptions): Promise<TargetPlace> {
  const { path, fileBytes } = options
  const existing = await statOf(path)
  if (existing === undefined) {
    const partial = await statOf(partialPath(path))
    const used = partial?.isFile() === true && partial.size === fileBytes
    return { kind: 'new', bytes: fileBytes, used }
  }
  const device = await describeBlockDevice(path)
  if (device !== undefined) {
    if (device.users.length > 0) throw busy(path, device.users.join(', '))
    const { bytes, sectorBytes } = device
    return { kind: 'device', bytes, sectorBytes, used: true }
  }
  if (!existing.isFile() || !options.overwrite) {
    throw new OsflashError('refused', `unpacking to ${path}: it exists`, {
      hints: existing.isFile() ? ['--force writes into it'] : ['choose another --to'],
    })
  }
  return { kind: 'file', bytes: existing.size, used: true }
}

/**
 * Opens the target that was looked at. Without `resume` a new file loses what an earlier run
 * left in it; nothing else is changed yet.
 * @throws OsflashError `refused` (busy), `io`
 */
export async function openTarget(
  options: TargetOptions,
  place: TargetPlace,
  resume: boolean,
): Promise<Target> {
  const { bytes, kind } = place
  const path = kind === 'new' ? partialPath(options.path) : options.path
  const { O_RDWR, O_EXCL, O_CREAT, O_TRUNC } = constants
  const truncate = resume ? 0 : O_TRUNC
  const flags = { device: O_EXCL, file: 0, new: O_CREAT | truncate }[kind]
  const handles = await openHandles(path, O_RDWR | flags)
  try {
    if (kind === 'new') {
      await handles.buffered.truncate(bytes).catch((cause: unknown) => {
        throw ioError(`resizing ${path} to ${bytes} bytes`, cause)
      })
    }
  } catch (error) {
    await closeHandles(handles)
    throw error
  }
  return makeTarget({ ...handles, options, path, bytes, blank: kind === 'new' }, place.sectorBytes)
}

/** Where a new file grows. */
const partialPath = (path: string): string => `${path}.partial`

async function statOf(path: string): Promise<Stats | undefined> {
  return stat(path).catch((cause: unknown) => {
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
  const direct = await open(path, flagsDirect).catch(() => undefined)
  return { buffered, direct }
}

async function closeHandles({ buffered, direct }: Handles): Promise<void> {
  await Promise.all([buffered.close(), direct?.close()])
}

interface TargetParts extends Handles {
  readonly options: TargetOptions
  /** Where the bytes go now. */
  readonly path: string
  readonly bytes: number
  readonly blank: boolean
}

function makeTarget(parts: TargetParts, sectorBytes?: number): Target {
  const { buffered, direct, path, options } = parts
  const handleFor = (offset: number, bytes: Uint8Array): FileHandle =>
    direct !== undefined && fitsDirect(offset, bytes) ? direct : buffered
  return {
    path: options.path,
    bytes: parts.bytes,
    blank: parts.blank,
    direct: direct !== undefined,
    ...(sectorBytes === undefined ? {} : { sectorBytes }),
    write: (offset, bytes) => writeFully(parts, handleFor(offset, bytes), { offset, bytes }),
    read: (offset, into) => readFully(parts, handleFor(offset, into), { offset, bytes: into }),
    zero: (offset, length) => zeroRange(parts, offset, length),
    sync: async () => {
      await buffered.sync().catch((cause: unknown) => {
        throw ioError(`flushing ${path}`, cause)
      })
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

async function zeroRange(parts: TargetParts, offset: number, length: number): Promise<void> {
  if (length >= FALLOCATE_MIN_BYTES && (await fallocateZero(parts, offset, length))) return
  const zeros = new Uint8Array(Math.min(length, MIB))
  for (let at = 0; at < length; at += zeros.length) {
    throwIfCancelled(parts.options.signal)
    const bytes = zeros.subarray(0, Math.min(zeros.length, length - at))
    await writeFully(parts, parts.buffered, { offset: offset + at, bytes })
  }
}

/** True when the kernel did it; false where the file system or the device cannot. */
async function fallocateZero(parts: TargetParts, offset: number, length: number): Promise<boolean> {
  const { signal } = parts.options
  const range = ['--keep-size', '--offset', String(offset), '--length', String(length)]
  const { status } = await run(['fallocate', '--zero-range', ...range, parts.path], {
    statuses: [0, 1],
    ...(signal === undefined ? {} : { signal }),
  })
  return status === 0
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
    await syncFolder(to)
  } catch (cause) {
    throw ioError(`renaming ${from} to ${to}`, cause)
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function busy(path: string, why: string): OsflashError {
  return new OsflashError('refused', `opening ${path}: it is in use (${why})`, {
    data: { path },
    hints: ['unmount it, and stop swap, RAID, LVM or dm-crypt on it', 'lsblk shows what uses it'],
  })
}
