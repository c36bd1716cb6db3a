/**
 * The slot in which a chunk is filled, sealed in place, and written from: one block of a segment.
 *
 * | offset       | size | what                                             |
 * |--------------|------|--------------------------------------------------|
 * | 0            | 42   | segment header; in all slots its salt is set     |
 * | 42           | n    | plaintext, at most one chunk; sealed in place    |
 * | 42 + n       | 16   | tag                                              |
 * | 58 + n       | 16   | final tag, in the last block                     |
 *
 * 1. The main thread fills header, plaintext and final tag; a worker seals.
 * 2. The salt tells the worker the key of the segment, so that no table of keys is needed.
 * 3. Header, chunk, tag and final tag lie as in the member: a block is digested and written whole.
 */
import { SALT_BYTES, SEGMENT_HEADER_BYTES, TAG_BYTES } from '../../encrypt/segment-layout.ts'

const SALT_AT = SEGMENT_HEADER_BYTES - SALT_BYTES

export const chunkSlotBytes = (chunkBytes: number): number =>
  SEGMENT_HEADER_BYTES + chunkBytes + 2 * TAG_BYTES

/** Which chunk lies in a slot. */
export interface ChunkInSlot {
  readonly slot: number
  /** The chunk's number in its segment. */
  readonly index: number
  readonly plainBytes: number
  /** True for the last chunk of the segment: the final tag follows. */
  readonly last: boolean
}

export const saltOf = (slot: Uint8Array): Uint8Array => slot.subarray(SALT_AT, SEGMENT_HEADER_BYTES)

export const plainOf = (slot: Uint8Array, plainBytes: number): Uint8Array =>
  slot.subarray(SEGMENT_HEADER_BYTES, SEGMENT_HEADER_BYTES + plainBytes)

export const sealedOf = (slot: Uint8Array, plainBytes: number): Uint8Array =>
  plainOf(slot, plainBytes + TAG_BYTES)

export function finalTagOf(slot: Uint8Array, plainBytes: number): Uint8Array {
  const at = SEGMENT_HEADER_BYTES + plainBytes + TAG_BYTES
  return slot.subarray(at, at + TAG_BYTES)
}

/** The bytes of the member that this slot holds. */
export function blockOf(slot: Uint8Array, chunk: ChunkInSlot): Uint8Array {
  const start = chunk.index === 0 ? 0 : SEGMENT_HEADER_BYTES
  const tags = chunk.last ? 2 * TAG_BYTES : TAG_BYTES
  return slot.subarray(start, SEGMENT_HEADER_BYTES + chunk.plainBytes + tags)
}

/** Where block `index` begins in its segment. */
export const blockOffset = (index: number, chunkBytes: number): number =>
  index === 0 ? 0 : SEGMENT_HEADER_BYTES + index * (chunkBytes + TAG_BYTES)
