/**
 * The measurements: each stage alone, then all together.
 *
 * 1. read:     the image in order, in pieces of 4 MiB, four under way
 * 2. threads:  a sample of frames from memory through the engine, to a sink that drops them; its
 *              clocks give digest, open and decompress
 * 3. write:    noise as long as the frames, as many writes under way as in a run; with a flush
 * 4. together: the frames of the image in order, from the image to the target
 *
 * Each works for the seconds it is given, and begins again when the image has ended. Pages of the
 * image are dropped from the cache before each turn, so that reading is that of the disk.
 */

import type { Source } from '../../deliver/source.ts'
import { throwIfCancelled } from '../../errors.ts'
import { makeSlots, slotView } from '../../system/shared-buffers.ts'
import { MIB } from '../../units.ts'
import type { Engine } from '../engine.ts'
import type { FrameJob } from '../frame-job.ts'
import type { StageTimes } from '../stage-times.ts'
import type { BenchTarget } from './bench-target.ts'

const READ_BYTES = 4 * MIB
const READS_UNDER_WAY = 4

/** How long one measurement takes, and what ends it early. */
export interface Limits {
  readonly seconds: number
  readonly signal?: AbortSignal
}

export interface Amount {
  readonly bytes: number
  readonly seconds: number
}

export interface Reading extends Limits {
  readonly source: Source
  /** Makes later reads come from the disk. */
  readonly forget: () => Promise<void>
}

/** Reads from the start of the image; packed bytes. */
export async function measureRead(reading: Reading): Promise<Amount> {
  const { source } = reading
  const slots = makeSlots(READS_UNDER_WAY, Math.min(READ_BYTES, source.bytes))
  return inTurns(reading, async (inTime) => {
    let next = 0
    let bytes = 0
    await inLanes(READS_UNDER_WAY, async (lane) => {
      while (next < source.bytes && inTime()) {
        const offset = next
        next += slots.slotBytes
        const length = Math.min(slots.slotBytes, source.bytes - offset)
        await source.read(offset, slotView(slots, lane, length))
        bytes += length
      }
    })
    return bytes
  })
}

export interface Decoding extends Limits {
  readonly engine: Engine
  /** Frames whose packed bytes are in memory. */
  readonly jobs: readonly FrameJob[]
}

export interface Decoded extends Amount {
  readonly times: StageTimes
}

/** Digest, open and decompress in all threads; nothing is waited for. */
export async function measureThreads(decoding: Decoding): Promise<Decoded> {
  const { engine, jobs } = decoding
  // The first frames of each thread wait for its libraries and its first use of memory.
  await engine.run({ jobs: repeated(jobs, 4 * engine.workers), sink: drop })
  const before = engine.stages()
  const amount = await inTurns({ ...decoding, forget: nothing }, async (inTime) => {
    let bytes = 0
    const sink = async (job: FrameJob): Promise<void> => {
      bytes += job.rawLength
    }
    await engine.run({ jobs: whileInTime(jobs, inTime), sink })
    return bytes
  })
  return { ...amount, times: difference(engine.stages(), before) }
}

export interface Writing extends Limits {
  readonly target: BenchTarget
  /** Frames whose lengths are written. */
  readonly jobs: readonly FrameJob[]
  readonly writesUnderWay: number
}

/** Frames of noise to the target, flushed at the end of each turn. */
export async function measureWrite(writing: Writing): Promise<Amount> {
  const { target, jobs, writesUnderWay } = writing
  let number = 0
  return inTurns({ ...writing, forget: nothing }, async (inTime) => {
    const queue = whileInTime(jobs, inTime)
    let bytes = 0
    await inLanes(writesUnderWay, async () => {
      for (const job of queue) {
        const place = number
        number += 1
        await target.write(place, job.rawLength)
        bytes += job.rawLength
      }
    })
    await target.sync()
    return bytes
  })
}

export interface Together extends Reading {
  readonly engine: Engine
  readonly jobs: readonly FrameJob[]
  readonly target?: BenchTarget
}

/** The whole way, from the image to the target, or to nothing where there is none. */
export async function measureTogether(together: Together): Promise<Amount> {
  const { engine, jobs, target } = together
  let number = 0
  return inTurns(together, async (inTime) => {
    let bytes = 0
    const sink = async (job: FrameJob): Promise<void> => {
      const place = number
      number += 1
      await target?.write(place, job.rawLength)
      bytes += job.rawLength
    }
    await engine.run({ jobs: whileInTime(jobs, inTime), sink })
    await target?.sync()
    return bytes
  })
}

/** Turns until the time is over; at least one, and only the turns count. */
async function inTurns(
  limits: Limits & { readonly forget: () => Promise<void> },
  turn: (inTime: () => boolean) => Promise<number>,
): Promise<Amount> {
  const endMs = performance.now() + limits.seconds * 1_000
  const inTime = (): boolean => performance.now() < endMs
  const sum = { bytes: 0, seconds: 0 }
  do {
    throwIfCancelled(limits.signal)
    await limits.forget()
    const startMs = performance.now()
    let first = true
    // A turn moves something, however little time there is.
    const cancelled = (): boolean => limits.signal?.aborted ?? false
    const going = (): boolean => {
      const goOn = !cancelled() && (first || inTime())
      first = false
      return goOn
    }
    sum.bytes += await turn(going)
    sum.seconds += (performance.now() - startMs) / 1_000
  } while (inTime())
  throwIfCancelled(limits.signal)
  return sum
}

function* whileInTime(jobs: readonly FrameJob[], inTime: () => boolean): Generator<FrameJob> {
  for (const job of jobs) {
    if (!inTime()) return
    yield job
  }
}

function* repeated(jobs: readonly FrameJob[], count: number): Generator<FrameJob> {
  for (let i = 0; i < count; i += 1) {
    const job = jobs[i % jobs.length]
    if (job !== undefined) yield job
  }
}

/** All lanes end before the first failure is thrown: their buffers are in use until then. */
async function inLanes(width: number, lane: (number: number) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(Array.from({ length: width }, (_, i) => lane(i)))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

function difference(after: StageTimes, before: StageTimes): StageTimes {
  return {
    threads: after.threads,
    digest: after.digest - before.digest,
    open: after.open - before.open,
    decompress: after.decompress - before.decompress,
    compare: after.compare - before.compare,
    entries: after.entries - before.entries,
    read: after.read - before.read,
    sink: after.sink - before.sink,
  }
}

const drop = async (): Promise<void> => undefined
const nothing = async (): Promise<void> => undefined
