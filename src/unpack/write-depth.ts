/**
 * How many writes a disk gets at a time: a kernel without a clock.
 *
 * 1. Each class of disk has a depth to begin with, and bounds for it.
 * 2. The least time that a MiB took lately is what the disk needs; what a write takes beyond it,
 *    it spent waiting behind others. So the number of writes that only wait is
 *    `depth x (1 - least / mean)`, as TCP Vegas reckons with packets.
 * 3. After each few writes: more than three waiting, one less; hardly one, one more. A disk that
 *    stalls (its cache is full, it rewrites its bands) gets half.
 * 4. The least time is forgotten slowly, so that a disk that became slower for good is not taken
 *    for one that stalls.
 *
 * Measured on a virtual disk with frames of 4 MiB: alone, one write at a time reached 70 % of the
 * rate of eight, two to four reached all of it. Beside four threads that decode, every write
 * takes longer, and eight were a tenth faster than four. Neither larger nor smaller writes were
 * faster, so frames are written as they are.
 */
import type { DiskKind } from '../system/disk-kind.ts'
import { MIB } from '../units.ts'

export interface DepthLimits {
  readonly least: number
  readonly start: number
  readonly most: number
}

const LIMITS: Readonly<Record<DiskKind, DepthLimits>> = {
  nvme: { least: 2, start: 6, most: 8 },
  ssd: { least: 2, start: 4, most: 4 },
  virtual: { least: 2, start: 6, most: 8 },
  unknown: { least: 2, start: 4, most: 4 },
  spinning: { least: 1, start: 2, most: 3 },
  removable: { least: 1, start: 2, most: 3 },
}

/** Writes in flight for a class of disk, each 1 to 8. */
export const depthLimits = (kind: DiskKind): DepthLimits => LIMITS[kind]

/** Writes between two decisions. */
const WINDOW_WRITES = 8
/** Smaller writes say more of the way to the disk than of the disk. */
const SAMPLE_MIN_BYTES = MIB
const WAITING_MANY = 3
const WAITING_FEW = 1.5
const STALL_FACTOR = 8
const FORGET_FACTOR = 1.02

/** Decides on the depth from the time that writes took. */
export class WriteDepth {
  readonly #limits: DepthLimits
  #depth: number
  #least = Number.POSITIVE_INFINITY
  #window: number[] = []

  constructor(limits: DepthLimits) {
    this.#limits = limits
    this.#depth = limits.start
  }

  /** Writes that may be in flight now. */
  get depth(): number {
    return this.#depth
  }

  /** A write of `bytes` took `latencyMs`. */
  ended(latencyMs: number, bytes: number): void {
    if (bytes < SAMPLE_MIN_BYTES) return
    this.#window.push((latencyMs * MIB) / bytes)
    if (this.#window.length < WINDOW_WRITES) return
    const mean = this.#window.reduce((sum, ms) => sum + ms, 0) / WINDOW_WRITES
    this.#least = Math.min(this.#least * FORGET_FACTOR, ...this.#window)
    this.#window = []
    const { least, most } = this.#limits
    this.#depth = Math.max(least, Math.min(most, this.#next(mean)))
  }

  #next(mean: number): number {
    if (mean > STALL_FACTOR * this.#least) return Math.floor(this.#depth / 2)
    const waiting = mean === 0 ? 0 : this.#depth * (1 - this.#least / mean)
    if (waiting > WAITING_MANY) return this.#depth - 1
    return waiting < WAITING_FEW ? this.#depth + 1 : this.#depth
  }
}
