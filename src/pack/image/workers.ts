/**
 * The main thread's side of the workers: one method for each job, with named fields.
 *
 * 1. Each method sends one job and reads its answer; jobs.ts and kernel.ts have the other end.
 * 2. Jobs wait for a free worker in the order in which they were sent. Packing a frame takes much
 *    longer than all others; no more of them are sent than keep the workers busy, so that a short
 *    job, on which other work waits, finds a thread that has but one.
 * 3. Cancelling ends the threads at once: every job that waits fails with `cancelled`.
 */
import { throwIfCancelled } from '../../errors.ts'
import type { ExtentKind } from '../../format/index.ts'
import { moduleBeside } from '../../system/module-url.ts'
import { SlotQueue } from '../../system/shared-buffers.ts'
import { type Numbers, startWorkerPool } from '../../system/worker-pool.ts'
import type { ChunkInSlot } from './chunk-slot.ts'
import type { CellRun } from './extents.ts'
import { OPERATION, type PackSetup } from './jobs.ts'

/** A range of payload number `payload` of the source. */
export interface PayloadRange {
  readonly payload: number
  readonly offset: number
  readonly length: number
}

/** A frame in the ring of raw slots. */
export interface RawFrame {
  readonly at: number
  readonly length: number
}

/** The jobs, as calls. */
export interface PackJobs {
  /** Reads a range that begins at a cell into raw slot `slot`, and gives its cells. */
  scan(range: PayloadRange, slot: number): Promise<readonly CellRun[]>
  /** Packs `length` bytes from `at` of the ring of raw slots into packed slot `slot`. */
  compress(frame: RawFrame, slot: number): Promise<{ length: number; digest: Uint8Array }>
  /** Seals a chunk and writes its block at `place`; gives the block's digest. */
  seal(chunk: ChunkInSlot, place: number): Promise<Uint8Array>
  /** SHA-256 of a range of the spool file. */
  sha256(place: number, bytes: number): Promise<Uint8Array>
  /** Copies a range of the spool file to the image. */
  copy(range: CopyRange): Promise<void>
}

export interface PackWorkers extends PackJobs, AsyncDisposable {
  /** Call it once, before the first job. */
  setUp(setup: PackSetup): void
  /** Ends the threads, after the jobs that they are doing; safe to call twice. */
  close(): Promise<void>
}

/** From a place in the spool file to a place in the image. */
export interface CopyRange {
  readonly from: number
  readonly to: number
  readonly bytes: number
}

export interface PackWorkersOptions {
  readonly workers: number
  readonly signal: AbortSignal | undefined
}

const CELL_KINDS: readonly ExtentKind[] = ['data', 'zero', 'unused']

/**
 * Starts the threads; they load what they need while the files are opened and the keys checked.
 * @throws OsflashError `cancelled` when the signal has fired already
 */
export function startPackWorkers(options: PackWorkersOptions): PackWorkers {
  throwIfCancelled(options.signal)
  const module = moduleBeside(import.meta.url, './pack-worker.ts')
  const pool = startWorkerPool({ workers: options.workers, module })
  const stop = (): void => void pool.close()
  options.signal?.addEventListener('abort', stop, { once: true })
  const close = async (): Promise<void> => {
    options.signal?.removeEventListener('abort', stop)
    await pool.close()
  }
  const packing = new SlotQueue(Math.ceil(1.5 * options.workers))
  const run = async (job: Numbers): Promise<Numbers> => {
    if (job[0] !== OPERATION.compress) return pool.run(job)
    const turn = await packing.acquire()
    try {
      return await pool.run(job)
    } finally {
      packing.release(turn)
    }
  }
  return {
    ...packJobs(run),
    setUp: (setup) => pool.setUp(setup),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** The calls over anything that does jobs as a kernel does. */
export function packJobs(run: (job: Numbers) => Promise<Numbers>): PackJobs {
  return {
    scan: async ({ payload, offset, length }, slot) =>
      runsOf(await run([OPERATION.scan, payload, offset, length, slot])),
    compress: async ({ at, length }, slot) => {
      const answer = await run([OPERATION.compress, at, length, slot])
      const [packed = 0, ...digest] = answer
      return { length: packed, digest: Uint8Array.from(digest) }
    },
    seal: async ({ slot, index, plainBytes, last }, place) => {
      const job = [OPERATION.seal, slot, index, plainBytes, last ? 1 : 0, place]
      return Uint8Array.from(await run(job))
    },
    sha256: async (place, bytes) => Uint8Array.from(await run([OPERATION.sha256, place, bytes])),
    copy: async ({ from, to, bytes }) => {
      await run([OPERATION.copy, from, to, bytes])
    },
  }
}

/** Joins equal neighbours: most windows are of one kind. */
function runsOf(cells: Numbers): CellRun[] {
  const runs: CellRun[] = []
  for (const cell of cells) {
    const kind = CELL_KINDS[cell]
    if (kind === undefined) throw new RangeError(`no kind ${cell}`)
    const last = runs.at(-1)
    if (last?.kind === kind) runs.splice(-1, 1, { kind, cells: last.cells + 1 })
    else runs.push({ kind, cells: 1 })
  }
  return runs
}
