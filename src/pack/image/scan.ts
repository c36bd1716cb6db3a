/**
 * From payloads to frames: which ranges hold data, found by reading every payload once.
 *
 * 1. Windows of 4 MiB are classified by the workers, several ahead, across all payloads.
 * 2. Their cells go to the planner of their payload in order; its frames come out in order.
 * 3. Frames are asked for one by one, so that scanning keeps just ahead of packing.
 */
import type { Emit } from '../../events.ts'
import type { Extent } from '../../format/index.ts'
import { enforce, LIMITS } from '../../format/limits.ts'
import { type CellRun, ExtentPlanner, type FramePlan } from './extents.ts'
import { inOrder } from './in-order.ts'
import type { PackJobs, PayloadRange } from './workers.ts'

/** Length of a payload, as the scan needs it. */
export interface ScanPayload {
  readonly name: string
  readonly rawBytes: number
}

export interface ScanContext {
  readonly workers: PackJobs
  /** Windows under way at once. */
  readonly ahead: number
  readonly emit: Emit
}

/** What comes out, in order: frames, and after the last frame of a payload its extents. */
export type Scanned =
  | ({ readonly kind: 'frame' } & PayloadRange)
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
  { workers, ahead, emit }: ScanContext,
): AsyncGenerator<Scanned, void> {
  const total = payloads.reduce((sum, { rawBytes }) => sum + rawBytes, 0)
  const planners = payloads.map(({ rawBytes }) => new ExtentPlanner(rawBytes))
  let done = 0
  const classify = async (window: Window): Promise<[Window, readonly CellRun[]]> => [
    window,
    window.length === 0 ? [] : await workers.scan(window),
  ]
  for await (const [window, runs] of inOrder({ items: windows(payloads), ahead, work: classify })) {
    const planner = planners[window.payload]
    const payload = payloads[window.payload]
    if (planner === undefined || payload === undefined) throw new RangeError('no such payload')
    done += window.length
    emit({ event: 'progress', phase: 'scanning', done, total, unit: 'bytes' })
    for (const run of runs) yield* framesOf(window.payload, planner.add(run))
    if (!window.last) continue
    yield* framesOf(window.payload, planner.finish())
    enforce('extents', planner.extents.length, `payload ${payload.name}`)
    yield { kind: 'extents', payload: window.payload, extents: planner.extents }
  }
}

function* framesOf(payload: number, plans: readonly FramePlan[]): Generator<Scanned> {
  for (const plan of plans) yield { kind: 'frame', payload, ...plan }
}

/** An empty payload has one window of no bytes, so that its extents come out too. */
async function* windows(payloads: readonly ScanPayload[]): AsyncGenerator<Window> {
  for (const [payload, { rawBytes }] of payloads.entries()) {
    let offset = 0
    do {
      const length = Math.min(LIMITS.frameRawBytes, rawBytes - offset)
      yield { payload, offset, length, last: offset + length === rawBytes }
      offset += length
    } while (offset < rawBytes)
  }
}
