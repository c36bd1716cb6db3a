/**
 * Writes one segment to the spool file, chunk by chunk.
 *
 * 1. Packed frames are copied into a chunk slot; a full slot goes to a worker, which seals it and
 *    writes it to its place. The chunk's index is its nonce, so the order does not matter.
 * 2. Chunk 0 begins with the literal header, which says how long the whole segment is. Its slot
 *    is kept, and sealed last.
 * 3. `finish` says at once where the segment ends, so that the next one can begin; digests
 *    follow when all chunks are written.
 *
 * Not promised: that anything is durable; the spool file is scratch.
 */
import { randomBytes } from 'node:crypto'
import {
  encodeLiteralHeader,
  encodeSegmentHeader,
  LITERAL_HEADER_BYTES,
  SALT_BYTES,
  type SegmentCipher,
  sealedSegmentBytes,
} from '../../encrypt/segment-layout.ts'
import { deriveSegmentKey, type SegmentKey, sealFinalTag } from '../../encrypt/seipd.ts'
import { type SlotQueue, slotView } from '../../system/shared-buffers.ts'
import { blockOffset, type ChunkInSlot, finalTagOf, plainOf, saltOf } from './chunk-slot.ts'
import type { PackSetup } from './jobs.ts'
import type { PackJobs } from './workers.ts'

/** A segment in the spool file. */
export interface SealedSegment {
  /** Where it begins in the spool file. */
  readonly place: number
  /** Size of the member. */
  readonly bytes: number
  /** The literal data packet with its header. */
  readonly plainBytes: number
  readonly sha256: Uint8Array
  readonly blocks: readonly Uint8Array[]
}

export interface SealContext {
  readonly workers: PackJobs
  readonly setup: PackSetup
  readonly slots: SlotQueue
}

export interface SegmentBounds {
  /** Where the segment begins in the spool file. */
  readonly place: number
  /** The most bytes of its literal data packet, with its header. */
  readonly plainBytesMax: number
}

interface OpenChunk {
  readonly slot: number
  readonly index: number
  readonly view: Uint8Array
  filled: number
}

export class SegmentWriter {
  readonly place: number
  readonly #plainBytesMax: number
  readonly #context: SealContext
  readonly #cipher: SegmentCipher
  readonly #key: SegmentKey
  #first: OpenChunk | undefined
  #current: OpenChunk | undefined
  #plainBytes = LITERAL_HEADER_BYTES
  /** Digest of each block, by index; filled as the chunks are sealed. */
  readonly #blocks: Promise<Uint8Array>[] = []
  #failure: unknown

  constructor(context: SealContext, { place, plainBytesMax }: SegmentBounds) {
    const { aead, chunkOctet, sessionKey } = context.setup
    this.#context = context
    this.place = place
    this.#plainBytesMax = plainBytesMax
    this.#cipher = { aead, chunkOctet, salt: randomBytes(SALT_BYTES) }
    this.#key = deriveSegmentKey(sessionKey, this.#cipher)
  }

  /** Whether a frame of this packed length still belongs into this segment. */
  hasRoomFor(packedLength: number): boolean {
    return this.#plainBytes + packedLength <= this.#plainBytesMax
  }

  /** Takes one packed frame. @throws what the sealing of an earlier chunk threw */
  async append(packed: Uint8Array): Promise<void> {
    let done = 0
    while (done < packed.length) {
      const chunk = await this.#chunkWithRoom()
      const count = Math.min(packed.length - done, this.#key.chunkBytes - chunk.filled)
      const part = packed.subarray(done, done + count)
      plainOf(chunk.view, chunk.filled + count).set(part, chunk.filled)
      chunk.filled += count
      done += count
    }
    this.#plainBytes += packed.length
  }

  /** Ends the segment. Call once, after the last frame; at least one is needed. */
  finish(): { readonly end: number; readonly sealed: Promise<SealedSegment> } {
    const first = this.#first ?? this.#current
    const last = this.#current
    if (first === undefined || last === undefined) throw new RangeError('an empty segment')
    const plainBytes = this.#plainBytes
    const bytes = sealedSegmentBytes({
      plaintextBytes: plainBytes,
      chunkOctet: this.#cipher.chunkOctet,
    })
    first.view.set(encodeSegmentHeader(this.#cipher, plainBytes))
    plainOf(first.view, first.filled).set(encodeLiteralHeader(plainBytes - LITERAL_HEADER_BYTES))
    const totals = { chunkCount: last.index + 1, plaintextBytes: plainBytes }
    finalTagOf(last.view, last.filled).set(sealFinalTag(this.#key, totals))
    this.#seal(first, first === last)
    if (first !== last) this.#seal(last, true)
    return { end: this.place + bytes, sealed: this.#digests(bytes) }
  }

  async #digests(bytes: number): Promise<SealedSegment> {
    const blocks = await Promise.all(this.#blocks)
    const sha256 = await this.#context.workers.sha256(this.place, bytes)
    return { place: this.place, bytes, plainBytes: this.#plainBytes, sha256, blocks }
  }

  async #chunkWithRoom(): Promise<OpenChunk> {
    const current = this.#current
    if (current !== undefined && current.filled < this.#key.chunkBytes) return current
    if (current?.index === 0) this.#first = current
    else if (current !== undefined) this.#seal(current, false)
    const slot = await this.#context.slots.acquire()
    if (this.#failure !== undefined) throw this.#failure
    const view = slotView(this.#context.setup.chunkSlots, slot)
    saltOf(view).set(this.#cipher.salt)
    const index = current === undefined ? 0 : current.index + 1
    const filled = index === 0 ? LITERAL_HEADER_BYTES : 0
    this.#current = { slot, index, view, filled }
    return this.#current
  }

  #seal({ slot, index, filled }: OpenChunk, last: boolean): void {
    const chunk = { slot, index, plainBytes: filled, last }
    this.#blocks[index] = this.#sealAndRelease(chunk)
    this.#blocks[index].catch((failure: unknown) => {
      this.#failure ??= failure
    })
  }

  async #sealAndRelease(chunk: ChunkInSlot): Promise<Uint8Array> {
    const { workers, slots } = this.#context
    try {
      return await workers.seal(chunk, this.place + blockOffset(chunk.index, this.#key.chunkBytes))
    } finally {
      slots.release(chunk.slot)
    }
  }
}
