/**
 * Makes ranges of a file or a device read as zero, without sending zeros where that can be.
 *
 * 1. By `fallocate --zero-range` (a device does it itself, as `blkdiscard -z` asks it to), or as
 *    holes where the file system knows only those (tmpfs); what worked is kept to.
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
}

/** Zeroes all ranges, which may then still be in a cache. One call at a time. */
export type ZeroFill = (ranges: readonly DiskRange[], signal?: AbortSignal) => Promise<void>

/** What it gives throws OsflashError `io`, `cancelled`. */
export function makeZeroFill(options: ZeroFillOptions): ZeroFill {
  let zeros: Uint8Array | undefined
  const make = makeByKernel(options)
  return async (ranges, signal) => {
    const large = ranges.filter(({ length }) => length >= FALLOCATE_MIN_BYTES)
    const made = new Set((await make(large, signal)) ? large : [])
    for (const range of ranges) {
      if (made.has(range)) continue
      zeros ??= slotView(makeSlots(1, ZEROS_BYTES), 0)
      await writeZeros({ ...options, signal }, range, zeros)
    }
  }
}

interface ZeroFilling extends ZeroFillOptions {
  readonly signal: AbortSignal | undefined
}

/** Options of `fallocate`. */
type Way = '--zero-range' | '--punch-hole'

/** Says whether all ranges were made zero; keeps to the first way that worked. */
function makeByKernel(
  options: ZeroFillOptions,
): (ranges: readonly DiskRange[], signal: AbortSignal | undefined) => Promise<boolean> {
  let ways: readonly Way[] = options.device ? ['--zero-range'] : ['--zero-range', '--punch-hole']
  let known = false
  return async (ranges, signal) => {
    if (ranges.length === 0) return true
    for (const way of ways) {
      if (!(await fallocate({ ...options, signal }, way, ranges))) continue
      ways = [way]
      known = true
      return true
    }
    if (!known) ways = []
    return false
  }
}

/** False where it failed for any of them, or there is no such program. */
async function fallocate(
  { path, signal }: ZeroFilling,
  way: Way,
  ranges: readonly DiskRange[],
): Promise<boolean> {
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
  options: ZeroFilling,
  range: DiskRange,
  zeros: Uint8Array,
): Promise<void> {
  for (const { offset, length } of alignedPieces(range, zeros.length)) {
    throwIfCancelled(options.signal)
    await options.write(offset, zeros.subarray(0, length))
  }
}
