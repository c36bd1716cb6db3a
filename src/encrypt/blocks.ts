/**
 * Blocks: the runs of packed bytes that have a digest in the index.
 *
 * 1. Block i of a segment holds its chunk i, tag included.
 * 2. Block 0 begins with the header of the segment; the last block ends with the final tag.
 * 3. So the blocks of a segment cover its member from the first byte to the last, and whoever
 *    reads some chunks checks no byte more than it reads.
 */
import { chunkPlace, type SegmentGeometry, TAG_BYTES } from './segment-layout.ts'

/** A run of bytes of a segment member. */
export interface MemberRange {
  readonly offset: number
  readonly bytes: number
}

/**
 * Where the blocks `first` to `last` lie, both included.
 * @throws RangeError when there is no such block
 */
export function blockRange(geometry: SegmentGeometry, first: number, last: number): MemberRange {
  const start = first === 0 ? 0 : chunkPlace(geometry, first).sealedOffset
  const end = chunkPlace(geometry, last)
  const tail = last === geometry.chunkCount - 1 ? TAG_BYTES : 0
  return { offset: start, bytes: end.sealedOffset + end.sealedBytes + tail - start }
}
