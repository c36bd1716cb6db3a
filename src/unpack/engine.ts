/**
 * The fast path: source → packed slots → workers → raw slots → sink.
 *
 * 1. A frame takes a packed slot, in the order of the jobs; its blocks are read into it.
 * 2. A worker checks, opens and decompresses from the packed slot into a raw slot, in one hop.
 * 3. The packed slot is free again; the sink gets the raw slot, and frees it when written.
 * 4. Reading ahead, decoding and writing overlap; the slots bound the memory.
 * 5. The first failure stops the hand-out; frames under way end, then the failure is thrown.
 *
 * Raw slots are granted in the order of the jobs too, so a sink that waits for its turn (a tree)
 * always holds the frame that everybody waits for.
 *
 * Not promised: that frames reach the sink in order.
 */
import type { Source } from '../deliver/source.ts'
import { throwIfCancelled } from '../errors.ts'
import type { Aead } from '../format/manifest.ts'
import { makeSlots, SlotQueue, type Slots, slotView } from '../system/shared-buffers.ts'
import type { WorkerPool } from '../system/worker-pool.ts'
import {
  type BlockRun,
  blocksNumbers,
  type DecodeSetup,
  decodeNumbers,
  frameNumbers,
  treeNumbers,
  zeroNumbers,
} from './decode-jobs.ts'
import type { KernelSetup } from './decode-kernel.ts'
import { type DecodeThreads, startDecodeThreads } from './decode-threads.ts'
import { type FrameJob, slotSizes } from './frame-job.ts'
import type { LoadedPayload } from './payload.ts'
import { makeStageTable, type StageTimes, stageSeconds } from './stage-times.ts'

/** Slots of both kinds beyond one for each worker: how far reading goes ahead. */
const READ_AHEAD_SLOTS = 3

export interface EngineOptions {
  readonly source: Source
  readonly payloads: readonly LoadedPayload[]
  readonly aead: Aead
  /** Absent when nothing is to be opened. */
  readonly sessionKey?: Uint8Array
  /** Number of worker threads; default: one for each processor. */
  readonly workers?: number
  /** Threads that were started before; the engine ends them. */
  readonly threads?: DecodeThreads
  /** Frames that may be with the sink at a time, 1 to 64. */
  readonly sinkDepth: number
  /** Of a tree: slots for batches of its entries, see `makeEntries`. */
  readonly batches?: Slots
  readonly signal?: AbortSignal
}

/** Takes the raw bytes of a frame; they may be reused once the promise has settled. */
export type FrameSink = (job: FrameJob, raw: Uint8Array) => Promise<void>

export interface RunOptions {
  readonly jobs: Iterable<FrameJob>
  readonly sink: FrameSink
  /** Also compare the raw bytes with their digest. */
  readonly checkRaw?: boolean
  /** Told at the first failure: frames that the sink waits for may never come. */
  readonly onFailure?: (reason: unknown) => void
}

/** Looks at checked blocks; their slot is used again once the promise has settled. */
export type SealedReader = (sealed: Uint8Array) => Promise<void>

/** A started engine: threads, slots, tables. */
export interface Engine extends AsyncDisposable {
  readonly workers: number
  /** The longest range that `isZero` takes, in bytes. */
  readonly rawSlotBytes: number
  /** The longest run of blocks that `checkBlocks` takes, in bytes. */
  readonly packedSlotBytes: number
  /** The memory that the raw bytes given to sinks lie in. */
  readonly rawMemory: SharedArrayBuffer
  run(options: RunOptions): Promise<void>
  /** Reads whole blocks and compares them with their digests; `offset` is in the image. */
  checkBlocks(run: BlockRun, offset: number, seen: SealedReader): Promise<void>
  /** Lends a raw slot to `read`, then says whether it holds the frame (or zeros). */
  compare(job: FrameJob, read: (raw: Uint8Array) => Promise<void>): Promise<boolean>
  isZero(length: number, read: (raw: Uint8Array) => Promise<void>): Promise<boolean>
  /** Makes the files that the batch in this slot asks for (tree/). */
  makeEntries(batchSlot: number): Promise<void>
  /** Where the time went since the start. */
  stages(): StageTimes
}

/** Lays out the shared memory and tells the threads. Close it with `await using`. */
export function startEngine(options: EngineOptions): Engine {
  const pool = options.threads ?? startDecodeThreads(options.workers)
  const { workers } = pool
  const sizes = slotSizes(options.payloads)
  const packed = makeSlots(workers + READ_AHEAD_SLOTS, sizes.sealedBytes)
  const raw = makeSlots(workers + READ_AHEAD_SLOTS + options.sinkDepth, sizes.rawBytes)
  const stages = makeStageTable(workers)
  const kernel = kernelSetup(options, { openedBytes: sizes.openedBytes, stages })
  const { batches } = options
  const setup: DecodeSetup = { kernel, packed, raw, ...(batches && { batches }) }
  pool.setUp(setup)
  const parts: EngineParts = {
    ...options,
    pool,
    packed,
    raw,
    packedQueue: new SlotQueue(packed.count),
    rawQueue: new SlotQueue(raw.count),
    waited: { read: 0, sink: 0 },
  }
  return {
    workers,
    rawSlotBytes: raw.slotBytes,
    packedSlotBytes: packed.slotBytes,
    rawMemory: raw.memory,
    run: (run) => runFrames(parts, run),
    checkBlocks: (run, offset, seen) => checkBlocks(parts, { run, offset, seen }),
    compare: (job, read) =>
      withRawSlot(parts, { length: job.rawLength, read }, (slot) => frameNumbers(job, slot)),
    isZero: (length, read) =>
      withRawSlot(parts, { length, read }, (slot) => zeroNumbers(slot, length)),
    makeEntries: async (slot) => {
      await pool.run(treeNumbers(slot))
    },
    stages: () => stageTimes(parts, stages),
    [Symbol.asyncDispose]: () => parts.pool.close(),
  }
}

function stageTimes({ pool, waited }: EngineParts, table: SharedArrayBuffer): StageTimes {
  return {
    threads: pool.workers,
    digest: stageSeconds(table, 'digest'),
    open: stageSeconds(table, 'open'),
    decompress: stageSeconds(table, 'decompress'),
    compare: stageSeconds(table, 'compare'),
    entries: stageSeconds(table, 'entries'),
    ...waited,
  }
}

interface EngineParts extends EngineOptions {
  readonly pool: WorkerPool
  readonly packed: Slots
  readonly raw: Slots
  readonly packedQueue: SlotQueue
  readonly rawQueue: SlotQueue
  /** Seconds of the main thread's own stages. */
  readonly waited: { read: number; sink: number }
}

function kernelSetup(
  options: EngineOptions,
  memory: Pick<KernelSetup, 'openedBytes' | 'stages'>,
): KernelSetup {
  return {
    ...memory,
    ...(options.sessionKey === undefined ? {} : { sessionKey: options.sessionKey }),
    payloads: options.payloads.map((payload) => ({
      name: payload.entry.name,
      codec: payload.codec,
      blockDigests: payload.blockDigests,
      frameDigests: payload.frameDigests,
      segments: payload.segments.map(({ name, geometry, salt, firstBlock }) => {
        const cipher = { aead: options.aead, chunkOctet: geometry.chunkOctet, salt }
        return { name, geometry, cipher, firstBlock }
      }),
    })),
  }
}

async function runFrames(parts: EngineParts, run: RunOptions): Promise<void> {
  const underWay = new Set<Promise<void>>()
  let failed = false
  let failure: unknown
  const fail = (reason: unknown): void => {
    if (failed) return
    failed = true
    failure = reason
    run.onFailure?.(reason)
  }
  for (const job of run.jobs) {
    const packedSlot = await parts.packedQueue.acquire()
    if (parts.signal?.aborted || failed) {
      parts.packedQueue.release(packedSlot)
      break
    }
    const frame = moveFrame(parts, run, { job, packedSlot, rawSlot: parts.rawQueue.acquire() })
    const settled = frame.catch(fail).finally(() => underWay.delete(settled))
    underWay.add(settled)
  }
  await Promise.all(underWay)
  if (failed) throw failure
  throwIfCancelled(parts.signal)
}

interface FrameUnderWay {
  readonly job: FrameJob
  readonly packedSlot: number
  readonly rawSlot: Promise<number>
}

async function moveFrame(parts: EngineParts, run: RunOptions, frame: FrameUnderWay): Promise<void> {
  const { job, packedSlot } = frame
  const sealed = slotView(parts.packed, packedSlot, job.sealedBytes)
  const startMs = performance.now()
  const reading = parts.source.read(job.imageOffset, sealed).then(() => {
    parts.waited.read += secondsSince(startMs)
  })
  // Awaited below; until the raw slot is there, a failure must not count as unhandled.
  reading.catch(() => undefined)
  const rawSlot = await frame.rawSlot
  try {
    try {
      await reading
      const slots = { packedSlot, rawSlot, checkRaw: run.checkRaw ?? false }
      await parts.pool.run(decodeNumbers(job, slots))
    } finally {
      parts.packedQueue.release(packedSlot)
    }
    const decodedMs = performance.now()
    await run.sink(job, slotView(parts.raw, rawSlot, job.rawLength))
    parts.waited.sink += secondsSince(decodedMs)
  } finally {
    parts.rawQueue.release(rawSlot)
  }
}

const secondsSince = (startMs: number): number => (performance.now() - startMs) / 1000

interface BlockCheck {
  readonly run: BlockRun
  readonly offset: number
  readonly seen: SealedReader
}

async function checkBlocks(parts: EngineParts, check: BlockCheck): Promise<void> {
  const { run, offset, seen } = check
  const slot = await parts.packedQueue.acquire()
  try {
    throwIfCancelled(parts.signal)
    const sealed = slotView(parts.packed, slot, run.sealedBytes)
    await parts.source.read(offset, sealed)
    await parts.pool.run(blocksNumbers(run, slot))
    await seen(sealed)
  } finally {
    parts.packedQueue.release(slot)
  }
}

async function withRawSlot(
  parts: EngineParts,
  part: { readonly length: number; readonly read: (raw: Uint8Array) => Promise<void> },
  job: (slot: number) => number[],
): Promise<boolean> {
  const slot = await parts.rawQueue.acquire()
  try {
    await part.read(slotView(parts.raw, slot, part.length))
    const [held] = await parts.pool.run(job(slot))
    return held === 1
  } finally {
    parts.rawQueue.release(slot)
  }
}
