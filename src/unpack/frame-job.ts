/**
 * A frame as work: which bytes of the image to read, and where its raw bytes go.
 *
 * 1. A frame lies in one or more chunks of its segment; the job reads the blocks of those
 *    chunks, no more.
 * 2. Jobs come in the order of the image, so that reading is sequential.
 * 3. All fields are numbers: a worker is told a job in one short array.
 */
import { blockRange } from '../encrypt/blocks.ts'
import { LITERAL_HEADER_BYTES } from '../encrypt/segment-layout.ts'
import type { LoadedPayload } from './payload.ts'

export interface FrameJob {
  readonly payload: number
  readonly segment: number
  /** Number of the frame in its payload. */
  readonly frame: number
  readonly firstChunk: number
  readonly lastChunk: number
  /** Where the blocks lie in the image. */
  readonly imageOffset: number
  readonly sealedBytes: number
  /** Where the frame begins in the opened chunks. */
  readonly plainSkip: number
  readonly packedLength: number
  readonly rawLength: number
  /** Place of the raw bytes in the payload. */
  readonly rawOffset: number
}

/** All frames of a payload, in order. @param payload its number in the image */
export function* frameJobs(loaded: LoadedPayload, payload: number): Generator<FrameJob> {
  for (const [segment, { geometry, contentOffset, ...range }] of loaded.segments.entries()) {
    let plainOffset = LITERAL_HEADER_BYTES
    for (let frame = range.firstFrame; frame < range.firstFrame + range.frameCount; frame += 1) {
      const entry = loaded.index.frames[frame]
      if (entry === undefined) throw new RangeError(`no frame ${frame}`)
      const { packedLength, rawLength, rawOffset } = entry
      // The literal header is part of chunk 0, whose first frame therefore starts in it too.
      const firstChunk = Math.floor(plainOffset / geometry.chunkBytes)
      const lastChunk = Math.floor((plainOffset + packedLength - 1) / geometry.chunkBytes)
      const blocks = blockRange(geometry, firstChunk, lastChunk)
      yield {
        payload,
        segment,
        frame,
        firstChunk,
        lastChunk,
        imageOffset: contentOffset + blocks.offset,
        sealedBytes: blocks.bytes,
        plainSkip: plainOffset - firstChunk * geometry.chunkBytes,
        packedLength,
        rawLength,
        rawOffset,
      }
      plainOffset += packedLength
    }
  }
}

/** The most bytes that any frame of these payloads needs sealed, opened and raw. */
export interface SlotSizes {
  readonly sealedBytes: number
  readonly openedBytes: number
  readonly rawBytes: number
}

export function slotSizes(payloads: readonly LoadedPayload[]): SlotSizes {
  let sealedBytes = 1
  let openedBytes = 1
  let rawBytes = 1
  for (const [i, payload] of payloads.entries()) {
    for (const job of frameJobs(payload, i)) {
      sealedBytes = Math.max(sealedBytes, job.sealedBytes)
      rawBytes = Math.max(rawBytes, job.rawLength)
      const chunks = job.lastChunk - job.firstChunk + 1
      const chunkBytes = payload.segments[job.segment]?.geometry.chunkBytes ?? 0
      openedBytes = Math.max(openedBytes, chunks * chunkBytes)
    }
  }
  return { sealedBytes, openedBytes, rawBytes }
}
