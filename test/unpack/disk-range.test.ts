/** Ranges cut into pieces: nothing lost, nothing twice, all but the ends aligned. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { alignedPieces, isAligned, stepsFrom, sumLengths } from '../../src/unpack/disk-range.ts'
import type { DiskRange } from '../../src/unpack/plan.ts'

const PIECE = 8_192
const range = fc.record({ offset: fc.nat(100_000), length: fc.integer({ min: 1, max: 60_000 }) })

/** Bytes that the pieces cover, in order; fails where they do not follow one another. */
function covered(pieces: readonly DiskRange[], from: number): number {
  let at = from
  for (const { offset, length } of pieces) {
    expect(offset).toBe(at)
    expect(length).toBeGreaterThan(0)
    at += length
  }
  return at
}

describe('aligned pieces', () => {
  it('cover the range; only the first and the last may be odd', () => {
    fc.assert(
      fc.property(range, (whole) => {
        const pieces = [...alignedPieces(whole, PIECE)]
        expect(covered(pieces, whole.offset)).toBe(whole.offset + whole.length)
        expect(pieces.slice(1, -1).every(isAligned)).toBe(true)
        expect(pieces.every(({ length }) => length <= PIECE)).toBe(true)
        for (const odd of pieces.filter((piece) => !isAligned(piece))) {
          expect(odd.length).toBeLessThan(4_096)
        }
      }),
    )
  })

  it('of a range within a page are that range', () => {
    const inside = { offset: 4_100, length: 200 }
    expect([...alignedPieces(inside, PIECE)]).toEqual([inside])
    const across = { offset: 4_000, length: 200 }
    expect([...alignedPieces(across, PIECE)]).toEqual([
      { offset: 4_000, length: 96 },
      { offset: 4_096, length: 104 },
    ])
  })
})

describe('steps', () => {
  it('go on at any byte, with all that is behind it and nothing before', () => {
    const ranges = fc.array(range, { maxLength: 5 })
    fc.assert(
      fc.property(ranges, fc.nat(200_000), (all, skip) => {
        const bytesOf = (steps: Iterable<DiskRange>): number[] =>
          [...steps].flatMap(({ offset, length }) =>
            length > PIECE ? [Number.NaN] : [offset, offset + length - 1],
          )
        const single = [...stepsFrom(all, 0, 1)].slice(skip)
        const rest = [...stepsFrom(all, skip, PIECE)]
        expect(sumLengths(rest)).toBe(Math.max(0, sumLengths(all) - skip))
        expect(bytesOf(rest)).not.toContain(Number.NaN)
        expect(rest[0]?.offset).toBe(single[0]?.offset)
      }),
      { numRuns: 30 },
    )
  })
})
