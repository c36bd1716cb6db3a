/**
 * Where a disk image is written: a regular file or a block device, behind one interface.
 *
 * 1. A new file grows under a name of its own (`TARGET.partial`) and gets the real one when it
 *    is complete. A file or device that exists is written in place, if the caller said so.
 * 2. Two descriptors: one with `O_DIRECT` for aligned pieces, a buffered one for the rest. File
 *    systems without `O_DIRECT` (some network ones) use the buffered one alone.
 * 3. Zeros are made by `fallocate`; where the file system cannot, they are written.
 * 4. Reading back is direct too, so that it sees the disk and not the page cache.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../errors.ts'
import { type BlockDevice, describeBlockDevice } from '../system/block-device.ts'
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
  /** Removes a new file that is not complete. */
  discard(): Promise<void>
}

export interface TargetOptions {
  readonly path: string
  /** Size of a new file. */
  readonly fileBytes: number
  /** Write into a file or a device that exists. */
  readonly overwrite: boolean
  /** Go on with what an earlier run left. */
  readonly resume: boolean
  readonly signal?: AbortSignal
}

/**
 * Opens the target; nothing is written yet.
 * @throws OsflashError `refused` (exists, busy), `io`
 */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const device = await stat(options.path).then(
    () => describeBlockDevice(options.path),
    () => undefined,
  )
  return device === undefined ? openFileTarget(options) : openDeviceTarget(options, device)
}

/** Where a new file grows. */
export const partialPath = (path: string): string => `${path}.partial`

async function openDeviceTarget(options: TargetOptions, device: BlockDevice): Promise<Target> {
  if (device.users.length > 0) throw busy(options.path, device.users.join(', '))
  const flags = constants.O_RDWR | constants.O_EXCL
  const handles = await openHandles(options.path, flags).catch((cause: unknown) => {
    throw errnoOf(cause) === 'EBUSY' ? busy(options.path, 'the kernel says so') : cause
  })
  const { bytes, sectorBytes } = device
  return makeTarget({ ...handles, options, path: options.path, bytes, blank: false }, sectorBytes)
}

async function openFileTarget(options: TargetOptions): Promise<Target> {
  const existing = await stat(options.path).catch(() => undefined)
  if (existing !== undefined && (!existing.isFile() || !options.overwrite)) {
    throw new OsflashError('refused', `unpacking to ${options.path}: it exists`, {
      hints: existing.isFile() ? ['--force writes into it'] : ['choose another --to'],
    })
  }
  const path = existing === undefined ? partialPath(options.path) : options.path
  const fresh = existing === undefined && !options.resume
  const flags = constants.O_RDWR | constants.O_CREAT | (fresh ? constants.O_TRUNC : 0)
  const handles = await openHandles(path, flags)
  if (existing === undefined) await handles.buffered.truncate(options.fileBytes)
  const bytes = existing?.size ?? options.fileBytes
  return makeTarget({ ...handles, options, path, bytes, blank: existing === undefined })
}

interface Handles {
  readonly buffered: FileHandle
  readonly direct: FileHandle | undefined
}

async function openHandles(path: string, flags: number): Promise<Handles> {
  const buffered = await open(path, flags, 0o600).catch((cause: unknown) => {
    throw errnoOf(cause) === 'EBUSY' ? cause : ioError(`opening ${path}`, cause)
  })
  // The exclusive claim is the first descriptor's; the second must not ask for it again.
  const flagsDirect = constants.O_RDWR | constants.O_DIRECT
  const direct = await open(path, flagsDirect).catch(() => undefined)
  return { buffered, direct }
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
  const handleFor = (offset: number, length: number): FileHandle =>
    direct !== undefined && offset % DIRECT_ALIGN_BYTES === 0 && length % DIRECT_ALIGN_BYTES === 0
      ? direct
      : buffered
  return {
    path: options.path,
    bytes: parts.bytes,
    blank: parts.blank,
    direct: direct !== undefined,
    ...(sectorBytes === undefined ? {} : { sectorBytes }),
    write: (offset, bytes) => writeFully(parts, handleFor(offset, bytes.length), { offset, bytes }),
    read: (offset, into) =>
      readFully(parts, handleFor(offset, into.length), { offset, bytes: into }),
    zero: (offset, length) => zeroRange(parts, offset, length),
    sync: async () => {
      await buffered.sync().catch((cause: unknown) => {
        throw ioError(`flushing ${path}`, cause)
      })
    },
    publish: async () => {
      if (path !== options.path) await rename(path, options.path)
      await syncFolder(options.path)
    },
    discard: async () => {
      if (path !== options.path) await unlink(path)
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([buffered.close(), direct?.close()])
    },
  }
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
