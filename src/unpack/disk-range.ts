/**
 * Cuts ranges of a disk into pieces: for direct input and output, and for work in steps.
 *
 * 1. `alignedPieces`: what is not aligned at the ends comes apart, so that all between can be
 *    read and written directly.
 * 2. `stepsFrom`: pieces of bounded size in the order of the ranges, from any byte of them on, so
 *    that work that was cut goes on where it was.
 */
import { alignDown, alignUp } from '../units.ts'
import type { DiskRange } from './plan.ts'

/** What direct reading and writing wants of offset, length and address. */
export const DIRECT_ALIGN_BYTES = 4_096

/** @param pieceBytes the longest piece, a multiple of 4,096 */
export function* alignedPieces(range: DiskRange, pieceBytes: number): Generator<DiskRange> {
  const end = range.offset + range.length
  const from = Math.min(end, alignUp(range.offset, DIRECT_ALIGN_BYTES))
  const to = Math.max(from, alignDown(end, DIRECT_ALIGN_BYTES))
  if (from > range.offset) yield { offset: range.offset, length: from - range.offset }
  for (let offset = from; offset < to; offset += pieceBytes) {
    yield { offset, length: Math.min(pieceBytes, to - offset) }
  }
  if (end > to) yield { offset: to, length: end - to }
}

/** @param skipBytes bytes of the ranges, counted in their order, that are left out */
export function* stepsFrom(
  ranges: readonly DiskRange[],
  skipBytes: number,
  stepBytes: number,
): Generator<DiskRange> {
  let skip = skipBytes
  for (const { offset, length } of ranges) {
    const skipped = Math.min(skip, length)
    skip -= skipped
    for (let at = skipped; at < length; at += stepBytes) {
      yield { offset: offset + at, length: Math.min(stepBytes, length - at) }
    }
  }
}

export const sumLengths = (ranges: readonly DiskRange[]): number =>
  ranges.reduce((sum, { length }) => sum + length, 0)

export const isAligned = ({ offset, length }: DiskRange): boolean =>
  offset % DIRECT_ALIGN_BYTES === 0 && length % DIRECT_ALIGN_BYTES === 0
