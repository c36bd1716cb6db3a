/**
 * Where a segment ends.
 *
 * 1. A segment's SHA-256 begins with its first block, which says how long the segment is: it can
 *    only be made when the segment is whole, by one thread. That of the last segment is waited
 *    for, so segments are short.
 * 2. Each segment stands in the manifest, which has a limit: an image of many gets long ones.
 */
import { LIMITS } from '../../format/limits.ts'
import { MIB } from '../../units.ts'

/** At 1.6 GB/s the last one takes less than a tenth of a second. */
const SHORT_BYTES = 128 * MIB
/** 256 GiB of packed data, and a quarter of a manifest. */
const SHORT_SEGMENTS = 2_048

/** @param segment the number of the segment in the image @returns the most bytes of plaintext */
export function segmentPlainBytesMax(segment: number): number {
  return segment < SHORT_SEGMENTS ? SHORT_BYTES : LIMITS.segmentPlainBytes
}
