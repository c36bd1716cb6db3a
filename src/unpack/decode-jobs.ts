/**
 * The jobs of the unpacker's workers, as short arrays of numbers.
 *
 * | job    | numbers                                                                           |
 * |--------|-----------------------------------------------------------------------------------|
 * | decode | 0, payload, segment, firstChunk, lastChunk, packedSlot, sealedBytes, plainSkip,   |
 * |        | packedLength, rawSlot, rawLength, frame, checkRaw (1: also the digest of the raw) |
 * | blocks | 1, payload, segment, firstChunk, lastChunk, packedSlot, sealedBytes               |
 * | frame  | 2, payload, frame, rawSlot, rawLength: answers 1 when these are its raw bytes     |
 * | zero   | 3, rawSlot, length: answers 1 when all bytes are zero                             |
 * | tree   | 4, batchSlot: makes the files that a batch asks for (tree/tree-batch.ts)          |
 *
 * 1. Encoders and the handler stand side by side, so that they cannot drift apart.
 */
import { OsflashError } from '../errors.ts'
import { type Slots, slotView } from '../system/shared-buffers.ts'
import { type KernelSetup, makeDecodeKernel } from './decode-kernel.ts'
import type { FrameJob } from './frame-job.ts'
import { makeEntries } from './tree/make-entries.ts'

const DECODE = 0
const BLOCKS = 1
const FRAME = 2
const ZERO = 3
const TREE = 4

/** What a worker gets once. */
export interface DecodeSetup {
  readonly kernel: KernelSetup
  readonly packed: Slots
  readonly raw: Slots
  /** Of a tree: slots for batches of its entries. */
  readonly batches?: Slots
}

/** A run of whole blocks of one segment. */
export type BlockRun = Pick<
  FrameJob,
  'payload' | 'segment' | 'firstChunk' | 'lastChunk' | 'sealedBytes'
>

/** The slots that a frame passes through. */
export interface FrameSlots {
  readonly packedSlot: number
  readonly rawSlot: number
  /** Also compare the raw bytes with their digest. */
  readonly checkRaw: boolean
}

export function decodeNumbers(job: FrameJob, slots: FrameSlots): number[] {
  return [
    DECODE,
    job.payload,
    job.segment,
    job.firstChunk,
    job.lastChunk,
    slots.packedSlot,
    job.sealedBytes,
    job.plainSkip,
    job.packedLength,
    slots.rawSlot,
    job.rawLength,
    job.frame,
    slots.checkRaw ? 1 : 0,
  ]
}

export function blocksNumbers(run: BlockRun, packedSlot: number): number[] {
  const { payload, segment, firstChunk, lastChunk, sealedBytes } = run
  return [BLOCKS, payload, segment, firstChunk, lastChunk, packedSlot, sealedBytes]
}

export function frameNumbers(job: FrameJob, rawSlot: number): number[] {
  return [FRAME, job.payload, job.frame, rawSlot, job.rawLength]
}

export function zeroNumbers(rawSlot: number, length: number): number[] {
  return [ZERO, rawSlot, length]
}

export function treeNumbers(batchSlot: number): number[] {
  return [TREE, batchSlot]
}

/** The handler of one thread. */
export function makeJobHandler(setup: DecodeSetup): (job: readonly number[]) => number[] {
  const kernel = makeDecodeKernel(setup.kernel)
  const zeros = Buffer.alloc(64 * 1024)
  const runOf = ([
    ,
    payload = 0,
    segment = 0,
    first = 0,
    last = 0,
    slot = 0,
    bytes = 0,
  ]: readonly number[]) => ({
    payload,
    segment,
    firstChunk: first,
    lastChunk: last,
    sealed: slotView(setup.packed, slot, bytes),
  })
  const decode = (job: readonly number[]): number[] => {
    const [plainSkip = 0, packedLength = 0, rawSlot = 0, rawLength = 0, frame = 0, checkRaw] =
      job.slice(7)
    const run = runOf(job)
    const raw = slotView(setup.raw, rawSlot, rawLength)
    kernel.decode(run, { plainSkip, packedLength, raw })
    if (checkRaw === 1 && !kernel.isFrame(run.payload, frame, raw)) {
      throw wrongFrame(setup.kernel.payloads[run.payload]?.name ?? '', frame)
    }
    return [1]
  }
  const makeBatch = (slot: number): number[] => {
    if (setup.batches === undefined) throw new RangeError('no batches were announced')
    const startMs = performance.now()
    makeEntries(slotView(setup.batches, slot), setup.raw.memory)
    kernel.clock('entries', startMs)
    return [1]
  }
  return (job) => {
    const [kind, a = 0, b = 0, c = 0, d = 0] = job
    switch (kind) {
      case DECODE:
        return decode(job)
      case BLOCKS:
        kernel.checkBlocks(runOf(job))
        return [1]
      case FRAME:
        return [kernel.isFrame(a, b, slotView(setup.raw, c, d)) ? 1 : 0]
      case ZERO:
        return [isZero(slotView(setup.raw, a, b), zeros) ? 1 : 0]
      case TREE:
        return makeBatch(a)
      default:
        throw new RangeError(`no job ${kind}`)
    }
  }
}

function wrongFrame(payload: string, frame: number): OsflashError {
  return new OsflashError(
    'digest',
    `reading payload ${payload}, frame ${frame}: the raw bytes do not match their digest`,
    { data: { payload, frame } },
  )
}

function isZero(bytes: Uint8Array, zeros: Buffer): boolean {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < view.length; at += zeros.length) {
    const part = view.subarray(at, at + zeros.length)
    if (part.compare(zeros, 0, part.length) !== 0) return false
  }
  return true
}
