/**
 * Obeys a disk plan. It decides nothing; plan.ts did.
 *
 * 1. wipe:   both ends of a disk that is not new, so that nothing old or half can be booted
 * 2. zero:   what must read as zero, unless the target is new
 * 3. write:  the body, in parallel, with a checkpoint now and then
 * 4. flush
 * 5. verify: read back what was written, if asked for
 * 6. finish: backup table and head, flush; the first page or the table at the start, flush;
 *            verify these too
 *
 * A run that is cut before 6 leaves a disk that no firmware starts.
 */

import { OsflashError, throwIfCancelled } from '../errors.ts'
import type { Emit } from '../events.ts'
import { inPhase } from '../events.ts'
import {
  CHECKPOINT_BYTES,
  type CheckpointKey,
  FrameCounter,
  writeCheckpoint,
} from './checkpoint.ts'
import type { Engine } from './engine.ts'
import type { FrameJob } from './frame-job.ts'
import {
  type DiskPlan,
  type DiskRange,
  type DiskWrite,
  HEAD_BYTES,
  type PlacedFrame,
} from './plan.ts'
import type { Target } from './target.ts'

export interface WriteDiskOptions {
  readonly plan: DiskPlan
  readonly target: Target
  readonly engine: Engine
  /** Frames of the body that an earlier run wrote. */
  readonly framesDone: number
  readonly checkpoint: { readonly path: string; readonly key: CheckpointKey }
  readonly verify: boolean
  readonly emit: Emit
  readonly signal?: AbortSignal
}

/** What a run wrote: frames that earlier runs wrote are not counted. */
export interface WriteReport {
  readonly frames: number
  readonly framesResumed: number
  readonly bytes: number
}

/** @throws OsflashError `io`, `readback`, `digest`, `decryption`, `cancelled` */
export async function writeDisk(options: WriteDiskOptions): Promise<WriteReport> {
  const { plan, target, emit, framesDone } = options
  const fresh = framesDone === 0
  if (!fresh) await inPhase(emit, 'checking what is there', () => checkResumed(options))
  if (fresh && !target.blank) await inPhase(emit, 'wiping', () => wipeEnds(target))
  if (fresh && !target.blank) await inPhase(emit, 'zeroing', () => zeroRanges(options))
  await inPhase(emit, 'writing', () => writeBody(options))
  await inPhase(emit, 'flushing', () => target.sync())
  if (options.verify) await inPhase(emit, 'verifying', () => verifyBody(options))
  await inPhase(emit, 'finishing', () => finish(options))
  const body = plan.body.slice(framesDone)
  const bytes = [...body, ...plan.head].reduce((sum, { job }) => sum + job.rawLength, 0)
  return { frames: body.length + plan.head.length, framesResumed: framesDone, bytes }
}

/** Frames read back before an earlier run is believed: spread over all that it wrote. */
const RESUME_SAMPLES = 16

async function checkResumed({ plan, target, engine, framesDone }: WriteDiskOptions): Promise<void> {
  const step = Math.max(1, Math.ceil(framesDone / RESUME_SAMPLES))
  const done = plan.body.slice(0, framesDone)
  const samples = done.filter((_, i) => i % step === 0 || i === framesDone - 1)
  for (const { job, diskOffset } of samples) {
    if (await engine.compare(job, (raw) => target.read(diskOffset, raw))) continue
    throw new OsflashError(
      'refused',
      `resuming ${target.path}: byte ${diskOffset} is not what an earlier run wrote`,
      { data: { offset: diskOffset }, hints: ['run without --resume to start again'] },
    )
  }
}

async function wipeEnds(target: Target): Promise<void> {
  const length = Math.min(HEAD_BYTES, target.bytes)
  await target.zero(0, length)
  await target.zero(target.bytes - length, length)
  await target.sync()
}

async function zeroRanges({ plan, target, emit, signal }: WriteDiskOptions): Promise<void> {
  const total = plan.zero.reduce((sum, range) => sum + range.length, 0)
  let done = 0
  for (const range of plan.zero) {
    throwIfCancelled(signal)
    await target.zero(range.offset, range.length)
    done += range.length
    emit({ event: 'progress', phase: 'zeroing', done, total, unit: 'bytes' })
  }
}

async function writeBody(options: WriteDiskOptions): Promise<void> {
  const { plan, target, engine, emit, framesDone } = options
  const total = sumBytes(plan.body)
  let done = sumBytes(plan.body.slice(0, framesDone))
  const saver = makeSaver(options)
  const numberOf = new Map<FrameJob, number>()
  const remaining = plan.body.slice(framesDone).map(({ job }, i) => {
    numberOf.set(job, framesDone + i)
    return job
  })
  try {
    await engine.run({
      jobs: remaining,
      sink: async (job, raw) => {
        const number = numberOf.get(job) ?? 0
        await target.write(plan.body[number]?.diskOffset ?? 0, raw)
        done += raw.length
        emit({ event: 'progress', phase: 'writing', done, total, unit: 'bytes' })
        await saver.wrote(number, raw.length)
      },
    })
  } finally {
    // The target is closed next, and the caller may remove what is left.
    await saver.settled()
  }
  await saver.last()
}

interface Saver {
  /** Waits only where the flush of one checkpoint is slower than the writing of the next. */
  wrote(frame: number, bytes: number): Promise<void>
  /** Waits for a checkpoint under way. */
  settled(): Promise<void>
  /** Writes the checkpoint of the whole body. */
  last(): Promise<void>
}

/** Flushes and writes checkpoints beside the writing; one at a time. */
function makeSaver({ target, checkpoint, framesDone }: WriteDiskOptions): Saver {
  const counter = new FrameCounter(framesDone)
  let bytes = 0
  let saving: Promise<void> | undefined
  let failure: unknown
  const save = async (): Promise<void> => {
    const frames = counter.prefix
    await target.sync()
    const { path, key } = checkpoint
    await writeCheckpoint(path, { format: 'osflash-checkpoint/1', ...key, frames })
  }
  const begin = (): void => {
    bytes = 0
    saving = save()
      .catch((error: unknown) => {
        failure = error
      })
      .finally(() => {
        saving = undefined
      })
  }
  return {
    wrote: async (frame, length) => {
      counter.ended(frame)
      bytes += length
      if (bytes >= CHECKPOINT_BYTES && saving !== undefined) await saving
      if (failure !== undefined) throw failure
      if (bytes >= CHECKPOINT_BYTES && saving === undefined) begin()
    },
    settled: async () => saving,
    last: async () => {
      if (failure !== undefined) throw failure
      await save()
    },
  }
}

async function verifyBody(options: WriteDiskOptions): Promise<void> {
  const { plan, target, engine, emit } = options
  if (!target.direct) {
    emit({ event: 'note', text: `${target.path} has no direct reads: the page cache answers` })
  }
  const zero = target.blank ? [] : [...pieces(plan.zero, engine.rawSlotBytes)]
  const total = sumBytes(plan.body) + zero.reduce((sum, range) => sum + range.length, 0)
  let done = 0
  const progress = (bytes: number): void => {
    done += bytes
    emit({ event: 'progress', phase: 'verifying', done, total, unit: 'bytes' })
  }
  await inParallel(engine.workers * 2, plan.body, async (frame) => {
    throwIfCancelled(options.signal)
    await verifyFrame(options, frame)
    progress(frame.job.rawLength)
  })
  await inParallel(engine.workers * 2, zero, async ({ offset, length }) => {
    throwIfCancelled(options.signal)
    if (!(await engine.isZero(length, (raw) => target.read(offset, raw)))) {
      throw differs(target, offset)
    }
    progress(length)
  })
}

async function verifyFrame(options: WriteDiskOptions, frame: PlacedFrame): Promise<void> {
  const { target, engine } = options
  const { job, diskOffset } = frame
  const held = await engine.compare(job, (raw) => target.read(diskOffset, raw))
  if (!held) throw differs(target, diskOffset)
}

async function finish(options: WriteDiskOptions): Promise<void> {
  const { plan, target, engine } = options
  const placeOf = new Map(plan.head.map(({ job, diskOffset }) => [job, diskOffset]))
  const [first, others] = [true, false].map((wanted) =>
    plan.head.filter(({ diskOffset }) => (diskOffset === 0) === wanted).map(({ job }) => job),
  )
  if (plan.tail !== undefined) await target.write(plan.tail.offset, plan.tail.bytes)
  await engine.run({
    jobs: others ?? [],
    sink: (job, raw) => target.write(placeOf.get(job) ?? 0, raw),
  })
  await target.sync()
  await engine.run({ jobs: first ?? [], sink: (_, raw) => writeStart(target, raw) })
  if (plan.table !== undefined) await target.write(plan.table.offset, plan.table.bytes)
  await target.sync()
  if (!options.verify) return
  await target.dropCache()
  for (const frame of plan.head) await verifyFrame(options, frame)
  for (const write of [plan.tail, plan.table]) {
    if (write !== undefined) await verifyWrite(target, write)
  }
}

/** The frame with sector 0: all behind the first page, then that page, when the rest is safe. */
async function writeStart(target: Target, raw: Uint8Array): Promise<void> {
  if (raw.length > START_BYTES) {
    await target.write(START_BYTES, raw.subarray(START_BYTES))
    await target.sync()
  }
  await target.write(0, raw.subarray(0, START_BYTES))
}

/** The first sector of any sector size. */
const START_BYTES = 4_096

async function verifyWrite(target: Target, write: DiskWrite): Promise<void> {
  const seen = new Uint8Array(write.bytes.length)
  await target.read(write.offset, seen)
  if (Buffer.compare(seen, write.bytes) !== 0) throw differs(target, write.offset)
}

function differs(target: Target, offset: number): OsflashError {
  return new OsflashError(
    'readback',
    `reading back ${target.path} at byte ${offset}: it is not what was written`,
    {
      data: { path: target.path, offset },
      hints: ['the disk is failing, or something else writes to it; use another disk'],
    },
  )
}

function sumBytes(frames: readonly PlacedFrame[]): number {
  return frames.reduce((sum, { job }) => sum + job.rawLength, 0)
}

function* pieces(ranges: readonly DiskRange[], pieceBytes: number): Generator<DiskRange> {
  for (const { offset, length } of ranges) {
    for (let at = 0; at < length; at += pieceBytes) {
      yield { offset: offset + at, length: Math.min(pieceBytes, length - at) }
    }
  }
}

/** Works on `items` with at most `width` at a time; the first failure stops the hand-out. */
async function inParallel<Item>(
  width: number,
  items: Iterable<Item>,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]()
  let failed = false
  const lane = async (): Promise<void> => {
    for (let next = queue.next(); !next.done && !failed; next = queue.next()) {
      await work(next.value)
    }
  }
  const lanes = Array.from({ length: width }, async () => {
    try {
      await lane()
    } catch (error) {
      failed = true
      throw error
    }
  })
  const results = await Promise.allSettled(lanes)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
