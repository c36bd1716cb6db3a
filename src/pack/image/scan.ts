/**
 * From payloads to frames: which ranges hold data, found by reading every payload once.
 *
 * 1. Windows of 4 MiB are read into the ring and classified by the workers, several ahead, across
 *    all payloads.
 * 2. Their cells go to the planner of their payload in order; its frames come out in order.
 * 3. Frames are asked for one by one, so that scanning keeps just ahead of packing.
 * 4. A frame keeps its windows in the ring until whoever took it releases them.
 */
import type { Emit } from '../../events.ts'
import type { Extent } from '../../format/index.ts'
import { enforce } from '../../format/limits.ts'
import { type CellRun, ExtentPlanner, type FramePlan } from './extents.ts'
import { inOrder } from './in-order.ts'
import { type RawPlace, type RawRing, WINDOW_BYTES } from './raw-ring.ts'
import type { PackJobs, PayloadRange } from './workers.ts'

/** Length of a payload, as the scan needs it. */
export interface ScanPayload {
  readonly name: string
  readonly rawBytes: number
}

export interface ScanContext {
  readonly workers: Pick<PackJobs, 'scan'>
  readonly ring: RawRing
  /** Windows under way at once. */
  readonly ahead: number
  readonly emit: Emit
}

/** What comes out, in order: frames, and after the last frame of a payload its extents. */
export type Scanned =
  | ({ readonly kind: 'frame'; readonly raw: RawPlace } & PayloadRange)
  | { readonly kind: 'extents'; readonly payload: number; readonly extents: readonly Extent[] }

interface Window extends PayloadRange {
  readonly last: boolean
}

/**
 * @throws OsflashError `io` when a payload cannot be read, `limit` when one has too many extents
 */
export async function* scanPayloads(
  payloads: readonly ScanPayload[],
  context: ScanContext,
): AsyncGenerator<Scanned, void> {
  const { emit } = context
  const startMs = performance.now()
  emit({ event: 'phase', phase: 'scanning', state: 'start' })
  try {
    yield* scanAll(payloads, context)
  } finally {
    const seconds = (performance.now() - startMs) / 1000
    emit({ event: 'phase', phase: 'scanning', state: 'end', seconds })
  }
}

async function* scanAll(
  payloads: readonly ScanPayload[],
  context: ScanContext,
): AsyncGenerator<Scanned, void> {
  const { ahead, ring, emit } = context
  const total = payloads.reduce((sum, { rawBytes }) => sum + rawBytes, 0)
  const cutters = payloads.map((payload, i) => new Cutter(ring, payload, i))
  let done = 0
  const work = (window: Window): Promise<Classified> => classify(context, window)
  for await (const classified of inOrder({ items: windows(payloads), ahead, work })) {
    const cutter = cutters[classified.payload]
    if (cutter === undefined) throw new RangeError('no such payload')
    done += classified.length
    emit({ event: 'progress', phase: 'scanning', done, total, unit: 'bytes' })
    yield* cutter.cut(classified)
  }
}

interface Classified extends Window {
  readonly runs: readonly CellRun[]
  /** The number of the window in the ring; none for an empty payload. */
  readonly inRing: number | undefined
}

async function classify({ workers, ring }: ScanContext, window: Window): Promise<Classified> {
  if (window.length === 0) return { ...window, runs: [], inRing: undefined }
  const taken = ring.take()
  await taken.ready
  const runs = await workers.scan(window, ring.slotOf(taken.window))
  return { ...window, runs, inRing: taken.window }
}

/** Cuts the windows of one payload, which come in order, into frames. */
class Cutter {
  readonly #ring: RawRing
  readonly #payload: ScanPayload
  readonly #number: number
  readonly #planner: ExtentPlanner
  /** The number in the ring of the payload's first window. */
  #base: number | undefined
  /** How many windows the planner is through with. */
  #dropped = 0

  constructor(ring: RawRing, payload: ScanPayload, number: number) {
    this.#ring = ring
    this.#payload = payload
    this.#number = number
    this.#planner = new ExtentPlanner(payload.rawBytes)
  }

  *cut({ runs, last, inRing }: Classified): Generator<Scanned, void> {
    this.#base ??= inRing
    for (const run of runs) yield* this.#frames(this.#planner.add(run))
    if (last) yield* this.#frames(this.#planner.finish())
    this.#drop()
    if (!last) return
    const { extents } = this.#planner
    enforce('extents', extents.length, `payload ${this.#payload.name}`)
    yield { kind: 'extents', payload: this.#number, extents }
  }

  *#frames(plans: readonly FramePlan[]): Generator<Scanned, void> {
    for (const { offset, length } of plans) {
      const raw = this.#ring.place(this.#base ?? 0, offset, length)
      this.#ring.retain(raw)
      yield { kind: 'frame', payload: this.#number, offset, length, raw }
    }
  }

  /** Gives up the windows from which no frame can be cut any more. */
  #drop(): void {
    const settled = this.#planner.settledBytes
    const whole = settled === this.#payload.rawBytes ? Math.ceil : Math.floor
    for (const windows = whole(settled / WINDOW_BYTES); this.#dropped < windows; ) {
      const window = (this.#base ?? 0) + this.#dropped
      this.#ring.release({ firstWindow: window, lastWindow: window })
      this.#dropped += 1
    }
  }
}

/** An empty payload has one window of no bytes, so that its extents come out too. */
async function* windows(payloads: readonly ScanPayload[]): AsyncGenerator<Window> {
  for (const [payload, { rawBytes }] of payloads.entries()) {
    let offset = 0
    do {
      const length = Math.min(WINDOW_BYTES, rawBytes - offset)
      yield { payload, offset, length, last: offset + length === rawBytes }
      offset += length
    } while (offset < rawBytes)
  }
}
