/**
 * Makes ranges of a file or a device read as zero, without sending zeros where that can be.
 *
 * 1. The first large range finds out how: `fallocate --zero-range` (a device does it itself, as
 *    `blkdiscard -z` asks it to), or a hole where the file system knows only those (tmpfs).
 * 2. The large ranges of a call share one process, `xargs`, that hands them to `fallocate`.
 * 3. Small ranges, and all where 1 is impossible or failed, are written from one buffer that the
 *    direct descriptor takes; what is not aligned goes the other way.
 *
 * Never a plain discard: what is read after it is up to the device.
 */
import { resolve } from 'node:path'
import { OsflashError, throwIfCancelled } from '../errors.ts'
import { run } from '../system/run.ts'
import { makeSlots, slotView } from '../system/shared-buffers.ts'
import { MIB } from '../units.ts'
import { alignedPieces } from './disk-range.ts'
import type { DiskRange } from './plan.ts'

/** Below this, writing zeros is cheaper than a process. */
const FALLOCATE_MIN_BYTES = 2 * MIB
const ZEROS_BYTES = MIB

export interface ZeroFillOptions {
  readonly path: string
  /** Devices have no holes. */
  readonly device: boolean
  readonly write: (offset: number, bytes: Uint8Array) => Promise<void>
  readonly signal?: AbortSignal | undefined
}

/** Zeroes all ranges, which may then still be in a cache. One call at a time. */
export type ZeroFill = (ranges: readonly DiskRange[]) => Promise<void>

/** What it gives throws OsflashError `io`, `cancelled`. */
export function makeZeroFill(options: ZeroFillOptions): ZeroFill {
  let zeros: Uint8Array | undefined
  let way: Way | undefined
  return async (ranges) => {
    const large = ranges.filter(({ length }) => length >= FALLOCATE_MIN_BYTES)
    const [first] = large
    if (first !== undefined) way ??= await findWay(options, first)
    const done = new Set(await byFallocate(options, large, way))
    for (const range of ranges) {
      if (done.has(range)) continue
      zeros ??= slotView(makeSlots(1, ZEROS_BYTES), 0)
      await writeZeros(options, range, zeros)
    }
  }
}

/** The option of `fallocate` that works here. */
type Way = '--zero-range' | '--punch-hole' | 'none'

async function findWay(options: ZeroFillOptions, range: DiskRange): Promise<Way> {
  if (await fallocate(options, '--zero-range', [range])) return '--zero-range'
  if (options.device) return 'none'
  return (await fallocate(options, '--punch-hole', [range])) ? '--punch-hole' : 'none'
}

/** The ranges that are zero now. */
async function byFallocate(
  options: ZeroFillOptions,
  ranges: readonly DiskRange[],
  way: Way | undefined,
): Promise<readonly DiskRange[]> {
  if (way === undefined || way === 'none') return []
  return (await fallocate(options, way, ranges)) ? ranges : []
}

/** False where it failed for any of them, or there is no such program. */
async function fallocate(
  { path, signal }: ZeroFillOptions,
  way: Way,
  ranges: readonly DiskRange[],
): Promise<boolean> {
  if (ranges.length === 0) return true
  const lines = ranges.map(({ offset, length }) => `-o ${offset} -l ${length}\n`)
  const fill = ['fallocate', way, '--keep-size', resolve(path)]
  try {
    const { status } = await run(['xargs', '-n', '4', ...fill], {
      stdin: Buffer.from(lines.join('')),
      statuses: XARGS_STATUSES,
      signal,
    })
    return status === 0
  } catch (error) {
    if (error instanceof OsflashError && error.code === 'missing-tool') return false
    throw error
  }
}

/** All went well, one failed, one could not be started. */
const XARGS_STATUSES = [0, 123, 126, 127]

async function writeZeros(
  options: ZeroFillOptions,
  range: DiskRange,
  zeros: Uint8Array,
): Promise<void> {
  for (const { offset, length } of alignedPieces(range, zeros.length)) {
    throwIfCancelled(options.signal)
    await options.write(offset, zeros.subarray(0, length))
  }
}
