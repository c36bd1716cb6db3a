/**
 * Writes the body of a disk plan, and all that goes on beside it.
 *
 * 1. frames: decoded by the engine, written as many at a time as the disk takes well
 * 2. zeros:  beside 1, unless the target is new; a few ranges for each process
 * 3. safe:   a checkpoint now and then counts both; its flush is what makes them safe
 * 4. verify: what is safe is read back beside 1 and 2, the rest after them
 *
 * When it is done, all of the body is on the disk. A failure of one part stops the others; what
 * they did goes into a last checkpoint, and nothing is under way any more when it is thrown.
 *
 * Not promised: any order among frames and zeros; nothing that boots is among them.
 */
import { cancelled, throwIfCancelled } from '../errors.ts'
import { type Emit, inPhase } from '../events.ts'
import { MIB } from '../units.ts'
import type { CheckpointKey, DiskProgress } from './checkpoint.ts'
import { alignedPieces, isAligned, stepsFrom, sumLengths } from './disk-range.ts'
import type { Engine } from './engine.ts'
import type { FrameJob } from './frame-job.ts'
import type { DiskPlan, DiskRange } from './plan.ts'
import { isReadBackFault, type ReadBack, startReadBack } from './read-back.ts'
import { makeSaver, type Saver } from './saver.ts'
import type { Target } from './target.ts'
import { depthLimits } from './write-depth.ts'
import { makeWriteQueue } from './write-queue.ts'

export interface WriteDiskOptions {
  readonly plan: DiskPlan
  readonly target: Target
  readonly engine: Engine
  /** What an earlier run did; absent: this one begins. */
  readonly done?: DiskProgress
  readonly checkpoint: { readonly path: string; readonly key: CheckpointKey }
  readonly verify: boolean
  readonly emit: Emit
  readonly signal?: AbortSignal
}

interface Writing extends WriteDiskOptions {
  readonly start: DiskProgress
  readonly saver: Saver
  readonly readBack: ReadBack
  /** Aborted by the first failure: what goes on beside ends at its next step. */
  readonly stop: AbortController
}

/** @throws OsflashError `io`, `readback`, `digest`, `decryption`, `cancelled` */
export async function writeBody(options: WriteDiskOptions): Promise<void> {
  const { plan, target, emit } = options
  const start = options.done ?? { frames: 0, zeroedBytes: target.blank ? sumLengths(plan.zero) : 0 }
  const verifying = verifyProgress(options)
  const readBack = startReadBack({ ...options, checked: verifying.checked })
  const saved = options.verify ? feed(options, readBack) : () => undefined
  const saver = makeSaver({ ...options, sync: () => target.sync(), start, saved })
  const writing: Writing = { ...options, start, saver, readBack, stop: new AbortController() }
  try {
    if (options.done !== undefined) saved(start)
    await together(writing, [writeFrames, zeroRanges])
    await inPhase(emit, 'flushing', () => saver.last())
    if (options.verify) {
      verifying.show()
      await inPhase(emit, 'verifying', () => verifyRest(writing))
    }
  } catch (error) {
    // What was written until now need not be written again, unless the disk lost some of it.
    if (!isReadBackFault(error)) await saver.rescue()
    throw error
  } finally {
    // The target is closed next.
    await readBack.stop()
  }
}

/** Ends all parts; then throws the first failure. */
async function together(
  writing: Writing,
  parts: readonly ((writing: Writing) => Promise<void>)[],
): Promise<void> {
  const failures: unknown[] = []
  const ends = parts.map(async (part) => {
    try {
      await part(writing)
    } catch (error) {
      failures.push(error)
      writing.stop.abort()
    }
  })
  await Promise.all(ends)
  if (failures.length > 0) throw failures[0]
}

async function writeFrames(writing: Writing): Promise<void> {
  const { plan, engine, emit, start } = writing
  const total = plan.body.reduce((sum, { job }) => sum + job.rawLength, 0)
  const numberOf = new Map<FrameJob, number>()
  const jobs = plan.body.map(({ job }) => job)
  for (const [number, job] of jobs.entries()) numberOf.set(job, number)
  let done = jobs.slice(0, start.frames).reduce((sum, { rawLength }) => sum + rawLength, 0)
  const written = (bytes: number): void => {
    done += bytes
    emit({ event: 'progress', phase: 'writing', done, total, unit: 'bytes' })
  }
  const write = frameWriter(writing)
  await inPhase(emit, 'writing', () =>
    engine.run({
      jobs: jobs.slice(start.frames),
      sink: async (job, raw) => {
        await write(numberOf.get(job) ?? 0, raw)
        written(raw.length)
      },
    }),
  )
}

/** Writes one frame, and makes a checkpoint when one is due. */
function frameWriter(writing: Writing): (number: number, raw: Uint8Array) => Promise<void> {
  const { plan, target, saver, readBack } = writing
  const queue = makeWriteQueue(depthLimits(target.diskKind))
  return async (number, raw) => {
    await queue(raw.length, async () => {
      if (writing.stop.signal.aborted) throw cancelled()
      await target.write(plan.body[number]?.diskOffset ?? 0, raw)
    })
    await saver.wrote(number, raw.length)
    readBack.throwIfFailed()
  }
}

/** What one call of `fallocate` makes zero: a disk without a command for it takes seconds. */
const ZERO_STEP_BYTES = 512 * MIB
/** Steps that share a process. */
const ZERO_STEPS = 32

async function zeroRanges(writing: Writing): Promise<void> {
  const { plan, target, emit, start, saver, readBack, stop } = writing
  const signal = AbortSignal.any([stop.signal, ...(writing.signal ? [writing.signal] : [])])
  const total = sumLengths(plan.zero)
  let done = start.zeroedBytes
  const steps = [...stepsFrom(plan.zero, done, ZERO_STEP_BYTES)]
  if (steps.length === 0) return
  await inPhase(emit, 'zeroing', async () => {
    for (let at = 0; at < steps.length; at += ZERO_STEPS) {
      throwIfCancelled(signal)
      readBack.throwIfFailed()
      const batch = steps.slice(at, at + ZERO_STEPS)
      await target.zeroAll(batch, signal)
      done += sumLengths(batch)
      saver.zeroed(done)
      emit({ event: 'progress', phase: 'zeroing', done, total, unit: 'bytes' })
    }
  })
}

/** Hands what is safe to the reading back, each frame and each range once. */
function feed(options: WriteDiskOptions, readBack: ReadBack): (safe: DiskProgress) => void {
  const { plan, engine } = options
  const zeros = zerosToVerify(options)
  const total = sumLengths(plan.zero)
  let frames = 0
  let fed = false
  return (safe) => {
    readBack.frames(plan.body.slice(frames, safe.frames))
    frames = safe.frames
    if (fed || safe.zeroedBytes < total) return
    fed = true
    readBack.zeros(piecesOf(zeros, engine.rawSlotBytes, true))
  }
}

/** A new file is zero wherever nothing was written. */
const zerosToVerify = ({ plan, target }: WriteDiskOptions): readonly DiskRange[] =>
  target.blank ? [] : plan.zero

function* piecesOf(
  ranges: readonly DiskRange[],
  pieceBytes: number,
  aligned: boolean,
): Generator<DiskRange> {
  for (const range of ranges) {
    for (const piece of alignedPieces(range, pieceBytes))
      if (isAligned(piece) === aligned) yield piece
  }
}

async function verifyRest(writing: Writing): Promise<void> {
  const { target, engine, emit, readBack } = writing
  if (!target.direct) {
    emit({ event: 'note', text: `${target.path} has no direct reads: the page cache answers` })
  }
  const edges = [...piecesOf(zerosToVerify(writing), engine.rawSlotBytes, false)]
  if (edges.length > 0) await target.dropCache()
  readBack.zeros(edges)
  await readBack.end(engine.workers * 2)
}

interface VerifyProgress {
  readonly checked: (bytes: number) => void
  readonly show: () => void
}

/** Counts from the start, but tells only once the writing is done. */
function verifyProgress({ plan, target, emit }: WriteDiskOptions): VerifyProgress {
  const bodyBytes = plan.body.reduce((sum, { job }) => sum + job.rawLength, 0)
  const total = bodyBytes + (target.blank ? 0 : sumLengths(plan.zero))
  let done = 0
  let shown = false
  return {
    checked: (bytes) => {
      done += bytes
      if (shown) emit({ event: 'progress', phase: 'verifying', done, total, unit: 'bytes' })
    },
    show: () => {
      shown = true
    },
  }
}
