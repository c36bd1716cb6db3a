/**
 * Puts the packed frames of one payload into segments, and makes its index.
 *
 * 1. Frames come in order. A segment is closed when the next frame would take its plaintext,
 *    literal header included, over its limit (segment-cut.ts); so the cut depends on the frames
 *    alone.
 * 2. The next segment begins in the spool file where the last one ends.
 * 3. The index is made when all segments are sealed: content part, then block part.
 */
import { createHash } from 'node:crypto'
import { blake3 } from '@napi-rs/blake-hash'
import { type Extent, encodeBlocks, encodeContent, type Frame } from '../../format/index.ts'
import { enforce } from '../../format/limits.ts'
import type { PayloadEntry } from '../../format/manifest.ts'
import { segmentPlainBytesMax } from './segment-cut.ts'
import { type SealContext, type SealedSegment, SegmentWriter } from './segment-writer.ts'

/** How far the spool file is filled; all payloads share one. */
export interface SpoolEnd {
  bytes: number
  segments: number
}

/** A payload in the spool file. */
export interface PackedPayload {
  /** What the manifest says of it besides name, place and codec. */
  readonly described: Pick<PayloadEntry, 'rawBytes' | 'index' | 'segments'>
  /** Content part and block part. */
  readonly index: readonly [Uint8Array, Uint8Array]
  /** Where each segment lies in the spool file. */
  readonly places: readonly number[]
  readonly frames: number
  readonly dataBytes: number
}

export interface PayloadWriterOptions {
  readonly name: string
  readonly rawBytes: number
  readonly spoolEnd: SpoolEnd
}

export class PayloadWriter {
  readonly #context: SealContext
  readonly #options: PayloadWriterOptions
  readonly #frames: Frame[] = []
  readonly #segmentFrames: number[] = []
  readonly #sealed: Promise<SealedSegment>[] = []
  #segment: SegmentWriter | undefined

  constructor(context: SealContext, options: PayloadWriterOptions) {
    this.#context = context
    this.#options = options
  }

  /** Takes the next frame; `packed` may be used again when the promise is fulfilled. */
  async add(frame: Frame, packed: Uint8Array): Promise<void> {
    if (this.#segment?.hasRoomFor(packed.length) === false) this.#closeSegment()
    if (this.#segment === undefined) {
      const { bytes, segments } = this.#options.spoolEnd
      const plainBytesMax = segmentPlainBytesMax(segments)
      this.#segment = new SegmentWriter(this.#context, { place: bytes, plainBytesMax })
      this.#segmentFrames.push(0)
    }
    await this.#segment.append(packed)
    this.#frames.push(frame)
    this.#segmentFrames.push((this.#segmentFrames.pop() ?? 0) + 1)
  }

  /**
   * Ends the payload. The next one may begin at once; the promise waits for the sealing.
   * @throws OsflashError `limit`, and what sealing threw
   */
  finish(extents: readonly Extent[]): Promise<PackedPayload> {
    if (this.#segment !== undefined) this.#closeSegment()
    return this.#describe(extents)
  }

  #closeSegment(): void {
    const closed = this.#segment?.finish()
    if (closed === undefined) return
    // Waited for in #describe; until then a failure must not end the process.
    closed.sealed.catch(() => undefined)
    this.#sealed.push(closed.sealed)
    this.#options.spoolEnd.bytes = closed.end
    this.#options.spoolEnd.segments += 1
    this.#segment = undefined
  }

  async #describe(extents: readonly Extent[]): Promise<PackedPayload> {
    const { name, rawBytes } = this.#options
    const frames = this.#frames
    enforce('frames', frames.length, `payload ${name}`)
    const segments = await Promise.all(this.#sealed)
    const segmentFrames = this.#segmentFrames
    const content = encodeContent({ rawBytes, extents, frames, segmentFrames })
    const blocks = encodeBlocks(segments.flatMap((segment) => segment.blocks))
    return {
      described: {
        rawBytes,
        index: describeIndex(content, blocks),
        segments: segments.map(({ bytes, plainBytes, sha256 }) => ({
          bytes,
          plainBytes,
          sha256: hex(sha256),
        })),
      },
      index: [content, blocks],
      places: segments.map(({ place }) => place),
      frames: frames.length,
      dataBytes: frames.reduce((sum, { rawLength }) => sum + rawLength, 0),
    }
  }
}

function describeIndex(content: Uint8Array, blocks: Uint8Array): PayloadEntry['index'] {
  return {
    bytes: content.length + blocks.length,
    sha256: createHash('sha256').update(content).update(blocks).digest('hex'),
    contentBytes: content.length,
    contentDigest: hex(blake3(content)),
    blocksDigest: hex(blake3(blocks)),
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
