/**
 * What a worker does with one frame. No I/O, no waiting, nothing shared but the buffers.
 *
 * 1. digest: every block against the index, before anything else looks at it
 * 2. open: every chunk, into the thread's own buffer; the final tag with the last chunk
 * 3. decompress: exactly one frame, into exactly the raw bytes of the index
 * 4. on request: the digest of the raw bytes against the index
 *
 * Not promised: buffers unchanged after an error; the caller writes nothing then.
 */
import { blockRange } from '../encrypt/blocks.ts'
import {
  type ChunkPlace,
  chunkPlace,
  LITERAL_HEADER_BYTES,
  parseLiteralHeader,
  type SegmentCipher,
  type SegmentGeometry,
  TAG_BYTES,
} from '../encrypt/segment-layout.ts'
import { checkFinalTag, deriveSegmentKey, openChunk, type SegmentKey } from '../encrypt/seipd.ts'
import { OsflashError } from '../errors.ts'
import { type Decompressor, makeDecompressor } from '../format/codec.ts'
import { blake3 } from '../format/digest.ts'
import { DIGEST_BYTES } from '../format/index.ts'
import type { CodecName } from '../format/manifest.ts'
import { mismatch } from './payload-errors.ts'
import { type StageClock, takeStageRow } from './stage-times.ts'

/** What a thread knows of a segment before its first job. */
export interface SegmentSetup {
  readonly name: string
  readonly geometry: SegmentGeometry
  readonly cipher: SegmentCipher
  readonly firstBlock: number
}

export interface PayloadSetup {
  readonly name: string
  readonly codec: CodecName
  readonly segments: readonly SegmentSetup[]
  readonly blockDigests: SharedArrayBuffer
  readonly frameDigests: SharedArrayBuffer
}

export interface KernelSetup {
  readonly payloads: readonly PayloadSetup[]
  /** 32 bytes; absent where blocks are only compared with their digests. */
  readonly sessionKey?: Uint8Array
  readonly openedBytes: number
  /** Where the thread counts its time, see stage-times.ts. */
  readonly stages: SharedArrayBuffer
}

/** The blocks of some chunks, as they were read from the image. */
export interface SealedRun {
  readonly payload: number
  readonly segment: number
  readonly firstChunk: number
  readonly lastChunk: number
  readonly sealed: Uint8Array
}

/** Where a frame lies in the opened chunks, and where its raw bytes go. */
export interface FramePlace {
  readonly plainSkip: number
  readonly packedLength: number
  readonly raw: Uint8Array
}

export interface DecodeKernel {
  /** @throws OsflashError `digest` */
  checkBlocks(run: SealedRun): void
  /** Blocks checked, chunks opened, frame decompressed. @throws `digest`, `decryption`, `format` */
  decode(run: SealedRun, place: FramePlace): void
  /** Whether these are the raw bytes of the frame. */
  isFrame(payload: number, frame: number, raw: Uint8Array): boolean
  /** Counts the time of what the thread does besides. */
  readonly clock: StageClock
}

/** A kernel for one thread; it keeps keys, contexts and one buffer. */
export function makeDecodeKernel(setup: KernelSetup): DecodeKernel {
  const opened = new Uint8Array(setup.openedBytes)
  const clock = takeStageRow(setup.stages)
  const keys = new Map<SegmentSetup, SegmentKey>()
  const codecs = new Map<CodecName, Decompressor>()
  const keyOf = (segment: SegmentSetup): SegmentKey => {
    const known = keys.get(segment)
    if (known !== undefined) return known
    if (setup.sessionKey === undefined) throw new OsflashError('decryption', 'no session key')
    const key = deriveSegmentKey(setup.sessionKey, segment.cipher)
    keys.set(segment, key)
    return key
  }
  const codecOf = (name: CodecName): Decompressor => {
    const known = codecs.get(name) ?? makeDecompressor(name)
    codecs.set(name, known)
    return known
  }
  return {
    clock,
    checkBlocks: (run) => {
      const startMs = performance.now()
      checkBlocks(setup, run)
      clock('digest', startMs)
    },
    decode: (run, place) => {
      const { payload, segment } = locate(setup, run)
      const startMs = performance.now()
      checkBlocks(setup, run)
      const digestedMs = clock('digest', startMs)
      openRun(run, { segment, key: keyOf(segment), opened })
      const openedMs = clock('open', digestedMs)
      const packed = opened.subarray(place.plainSkip, place.plainSkip + place.packedLength)
      codecOf(payload.codec).decompress(packed, place.raw)
      clock('decompress', openedMs)
    },
    isFrame: (payload, frame, raw) => {
      const digests = setup.payloads[payload]?.frameDigests
      if (digests === undefined) throw new RangeError(`no payload ${payload}`)
      const startMs = performance.now()
      const expected = new Uint8Array(digests, frame * DIGEST_BYTES, DIGEST_BYTES)
      const held = blake3(raw).equals(expected)
      clock('compare', startMs)
      return held
    },
  }
}

function locate(
  setup: KernelSetup,
  run: SealedRun,
): { payload: PayloadSetup; segment: SegmentSetup } {
  const payload = setup.payloads[run.payload]
  const segment = payload?.segments[run.segment]
  if (payload === undefined || segment === undefined) throw new RangeError('no such segment')
  return { payload, segment }
}

function checkBlocks(setup: KernelSetup, run: SealedRun): void {
  const { payload, segment } = locate(setup, run)
  const { geometry } = segment
  const start = blockRange(geometry, run.firstChunk, run.lastChunk).offset
  for (let chunk = run.firstChunk; chunk <= run.lastChunk; chunk += 1) {
    const { offset, bytes } = blockRange(geometry, chunk, chunk)
    const block = run.sealed.subarray(offset - start, offset - start + bytes)
    const at = (segment.firstBlock + chunk) * DIGEST_BYTES
    const expected = new Uint8Array(payload.blockDigests, at, DIGEST_BYTES)
    if (!blake3(block).equals(expected)) throw mismatch(segment.name, chunk)
  }
}

interface Opening {
  readonly segment: SegmentSetup
  readonly key: SegmentKey
  readonly opened: Uint8Array
}

function openRun(run: SealedRun, { segment, key, opened }: Opening): void {
  const { geometry } = segment
  const start = blockRange(geometry, run.firstChunk, run.lastChunk).offset
  const base = chunkPlace(geometry, run.firstChunk).plainOffset
  let place: ChunkPlace | undefined
  for (let index = run.firstChunk; index <= run.lastChunk; index += 1) {
    place = chunkPlace(geometry, index)
    const at = place.sealedOffset - start
    const input = run.sealed.subarray(at, at + place.sealedBytes)
    openChunk(key, { index, input, out: opened.subarray(place.plainOffset - base) })
  }
  if (run.firstChunk === 0) {
    parseLiteralHeader(opened.subarray(0, LITERAL_HEADER_BYTES), geometry.plaintextBytes)
  }
  if (place !== undefined && run.lastChunk === geometry.chunkCount - 1) {
    const at = place.sealedOffset + place.sealedBytes - start
    checkFinalTag(key, geometry, run.sealed.subarray(at, at + TAG_BYTES))
  }
}
