/**
 * From classified cells to extents and frames, while a payload is still being read.
 *
 * 1. A cell is 64 KiB of the payload, counted from its start; the last one may be shorter.
 * 2. Cells come in order. Neighbours of one kind make one extent.
 * 3. Fewer than 4 cells of ZERO or UNUSED between DATA become DATA: a seek and a frame of their own
 *    cost more than 256 KiB of zeros, which pack to a few bytes.
 * 4. Each DATA extent is cut into frames of 4 MiB from its start, the last one shorter. A frame
 *    is given out as soon as nothing that follows can change it, so that the bytes read for the
 *    scan are the ones packed, and few of them wait.
 *
 * The outcome depends on the cells alone, not on how many came at once nor on who read them.
 */
import type { Extent, ExtentKind } from '../../format/index.ts'
import { LIMITS } from '../../format/limits.ts'
import { KIB } from '../../units.ts'

export const CELL_BYTES = 64 * KIB
/** Gaps of fewer cells than this, with DATA on both sides, become DATA. */
const GAP_CELLS_MIN = 4

/** A run of cells other than DATA is an extent from this length on. */
export const GAP_BYTES_MIN = GAP_CELLS_MIN * CELL_BYTES

/** Consecutive cells of one kind. */
export interface CellRun {
  readonly kind: ExtentKind
  readonly cells: number
}

/** A frame before it is packed: a range of the payload. */
export interface FramePlan {
  readonly offset: number
  readonly length: number
}

/** Takes the cells of one payload in order. */
export class ExtentPlanner {
  readonly extents: Extent[] = []
  readonly #rawBytes: number
  /** Cells taken so far. */
  #cells = 0
  /** Start and known end of the DATA extent that is still open. */
  #open: { readonly start: number; end: number; cut: number } | undefined
  /** Runs after the open extent, until they are long enough to end it. */
  #gap: CellRun[] = []

  constructor(rawBytes: number) {
    this.#rawBytes = rawBytes
  }

  /** Takes the next cells; gives the frames that are settled now. */
  add(run: CellRun): FramePlan[] {
    if (run.kind === 'data') return this.#addData(run.cells)
    if (this.#open === undefined) {
      this.#append(run)
      this.#cells += run.cells
      return []
    }
    this.#gap.push(run)
    this.#cells += run.cells
    const gapCells = this.#gap.reduce((sum, { cells }) => sum + cells, 0)
    return gapCells < GAP_CELLS_MIN ? [] : this.#close()
  }

  /**
   * The last frames, after the last cell.
   * @throws RangeError when the cells do not add up to the payload
   */
  finish(): FramePlan[] {
    if (this.#cells !== Math.ceil(this.#rawBytes / CELL_BYTES)) {
      throw new RangeError(`${this.#cells} cells for ${this.#rawBytes} bytes`)
    }
    return this.#close()
  }

  /** The first byte that a frame may still begin with; those before it are settled. */
  get settledBytes(): number {
    return this.#open?.cut ?? this.#byteOf(this.#cells)
  }

  #addData(cells: number): FramePlan[] {
    const start = this.#byteOf(this.#cells)
    this.#cells += cells
    const open = this.#open ?? { start, end: start, cut: start }
    open.end = this.#byteOf(this.#cells)
    this.#open = open
    this.#gap = []
    const frames: FramePlan[] = []
    // A frame of full size is settled; a shorter one may still grow.
    while (open.end - open.cut >= LIMITS.frameRawBytes) {
      frames.push({ offset: open.cut, length: LIMITS.frameRawBytes })
      open.cut += LIMITS.frameRawBytes
    }
    return frames
  }

  #close(): FramePlan[] {
    const open = this.#open
    if (open === undefined) return []
    this.extents.push({ offset: open.start, length: open.end - open.start, kind: 'data' })
    for (const run of this.#gap) this.#append(run)
    this.#open = undefined
    this.#gap = []
    return open.cut === open.end ? [] : [{ offset: open.cut, length: open.end - open.cut }]
  }

  /** Adds ZERO or UNUSED after the last extent, joining it when the kind is the same. */
  #append({ kind, cells }: CellRun): void {
    const last = this.extents.at(-1)
    const offset = last === undefined ? 0 : last.offset + last.length
    const end = this.#byteOf(Math.ceil(offset / CELL_BYTES) + cells)
    if (end === offset) return
    const joined = last?.kind === kind
    const start = joined ? last.offset : offset
    this.extents.splice(joined ? -1 : this.extents.length, 1, {
      offset: start,
      length: end - start,
      kind,
    })
  }

  #byteOf(cell: number): number {
    return Math.min(cell * CELL_BYTES, this.#rawBytes)
  }
}
