/**
 * A target for measuring: written like that of `unpack`, by the same code (direct, as many writes
 * at a time as the disk takes well), and then gone.
 *
 * 1. What does not exist is made beside that name, and its own name is removed at once: the file
 *    ends with the process, however it ends. A directory gets such a file in it.
 * 2. What exists is overwritten, and only if the caller said so. Both of its ends become zero
 *    first, so that no table is left that speaks of partitions that are not there any more.
 * 3. What is written is noise, as long as the frames. Nothing of the image is left on the target,
 *    nor in the free space of its file system, and no compression of the disk flatters.
 *
 * Not promised: the old content of what exists; it is lost.
 */
import { randomBytes } from 'node:crypto'
import { realpath, stat, statfs, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ioError, OsflashError } from '../../errors.ts'
import { holdLock } from '../../system/lock.ts'
import { makeSlots, slotView } from '../../system/shared-buffers.ts'
import { alignUp, formatBytes, GIB, MIB } from '../../units.ts'
import { removeCheckpoint } from '../checkpoint.ts'
import {
  lookAtTarget,
  openTarget,
  type Target,
  type TargetOptions,
  type TargetPlace,
} from '../target.ts'
import { depthLimits } from '../write-depth.ts'
import { makeWriteQueue } from '../write-queue.ts'

/** Left zero at both ends. */
const END_BYTES = MIB
const PAGE_BYTES = 4_096
/** A new file is written again from its start after this much. */
const NEW_FILE_BYTES_MAX = 2 * GIB
/** Without direct writing the page cache takes more than a flush can bring away in time. */
const SYNC_BYTES = 64 * MIB

export interface BenchTargetOptions {
  readonly to: string
  readonly overwrite: boolean
  /** Of an unpacking that was cut: nothing must go on with what is overwritten here. */
  readonly checkpointPath?: string
  /** The longest frame. */
  readonly frameBytes: number
  readonly signal?: AbortSignal
}

export interface BenchTarget extends AsyncDisposable {
  readonly kind: 'device' | 'file' | 'new'
  readonly direct: boolean
  /** Writes noise of this length where frame `number` goes. */
  write(number: number, length: number): Promise<void>
  sync(): Promise<void>
}

/**
 * Says what measuring would destroy, before anything is done; `undefined` when nothing.
 * @throws OsflashError `refused` (exists and not to be overwritten, busy), `io`
 */
export async function lookAtBenchTarget(
  options: Pick<BenchTargetOptions, 'to' | 'overwrite'>,
): Promise<TargetPlace | undefined> {
  const { to, overwrite } = options
  if ((await kindOf(to)) !== 'other') return undefined
  if (!overwrite) {
    throw new OsflashError('refused', `measuring ${to}: it exists and would be overwritten`, {
      hints: [
        '--force overwrites it; everything on it is lost',
        `--to ${dirname(to)} measures with a file that is removed again`,
      ],
    })
  }
  return lookAtTarget(existing(to))
}

/**
 * Opens what is written to.
 * @throws OsflashError `refused` (exists, busy, too small, in use by another osflash), `io`
 */
export async function openBenchTarget(options: BenchTargetOptions): Promise<BenchTarget> {
  const frameBytes = alignUp(options.frameBytes, PAGE_BYTES)
  const place = await lookAtBenchTarget(options)
  if (place === undefined) {
    return writerTo(await openNew(options, frameBytes), { kind: 'new', frameBytes })
  }
  const { to } = options
  if (place.bytes < 2 * END_BYTES + frameBytes) {
    throw new OsflashError('refused', `measuring ${to}: ${formatBytes(place.bytes)} are too few`, {
      hints: ['choose a larger disk or file'],
    })
  }
  const lock = await holdLock(await realpath(to), `writing to ${to}`)
  try {
    if (options.checkpointPath !== undefined) await removeCheckpoint(options.checkpointPath)
    const target = await openTarget(existing(to, options.signal), place, true)
    const writer = writerTo(target, { kind: place.kind, frameBytes, lock })
    await wipeEnds(target)
    return writer
  } catch (error) {
    await lock[Symbol.asyncDispose]()
    throw error
  }
}

async function wipeEnds(target: Target): Promise<void> {
  try {
    await target.zero(0, END_BYTES)
    await target.zero(target.bytes - END_BYTES, END_BYTES)
    await target.sync()
  } catch (error) {
    await target[Symbol.asyncDispose]()
    throw error
  }
}

const existing = (path: string, signal?: AbortSignal): TargetOptions => ({
  path,
  leastBytes: 0,
  overwrite: true,
  resume: false,
  ...(signal === undefined ? {} : { signal }),
})

/** A file without a name. */
async function openNew({ to, signal }: BenchTargetOptions, frameBytes: number): Promise<Target> {
  const isFolder = (await kindOf(to)) === 'folder'
  const suffix = `bench-${randomBytes(6).toString('hex')}`
  const path = isFolder ? join(to, suffix) : `${to}.${suffix}`
  const free = await freeBytes(isFolder ? to : dirname(to))
  const leastBytes = 2 * END_BYTES + frameBytes
  if (free < leastBytes) {
    throw new OsflashError('refused', `measuring ${to}: only ${formatBytes(free)} are free`, {
      hints: ['choose another place'],
    })
  }
  // Half of what is free is left to whoever else writes meanwhile.
  const bytes = alignUp(Math.max(leastBytes, Math.min(NEW_FILE_BYTES_MAX, free / 2)), PAGE_BYTES)
  const wanted = { ...existing(path, signal), leastBytes: bytes, overwrite: false }
  const target = await openTarget(wanted, await lookAtTarget(wanted), false)
  try {
    await unlink(`${path}.partial`)
  } catch (cause) {
    await target[Symbol.asyncDispose]()
    throw ioError(`removing ${path}.partial`, cause)
  }
  return target
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder).catch((cause: unknown) => {
    throw ioError(`looking at ${folder}`, cause)
  })
  return bavail * bsize
}

async function kindOf(path: string): Promise<'none' | 'folder' | 'other'> {
  const stats = await stat(path).catch(() => undefined)
  if (stats === undefined) return 'none'
  return stats.isDirectory() ? 'folder' : 'other'
}

interface Writing {
  readonly kind: BenchTarget['kind']
  readonly frameBytes: number
  readonly lock?: AsyncDisposable
}

function writerTo(target: Target, { kind, frameBytes, lock }: Writing): BenchTarget {
  const noise = makeSlots(1, frameBytes)
  slotView(noise, 0).set(randomBytes(noise.slotBytes))
  const places = Math.floor((target.bytes - 2 * END_BYTES) / frameBytes)
  const queue = makeWriteQueue(depthLimits(target.diskKind))
  let unsynced = 0
  return {
    kind,
    direct: target.direct,
    write: async (number, length) => {
      const bytes = slotView(noise, 0, alignUp(length, PAGE_BYTES))
      const offset = END_BYTES + (number % places) * frameBytes
      await queue(bytes.length, () => target.write(offset, bytes))
      unsynced += bytes.length
      if (target.direct || unsynced < SYNC_BYTES) return
      unsynced = 0
      await target.sync()
    },
    sync: () => target.sync(),
    [Symbol.asyncDispose]: async () => {
      await target[Symbol.asyncDispose]()
      await lock?.[Symbol.asyncDispose]()
    },
  }
}
