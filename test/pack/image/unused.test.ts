import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isUnused, makeRangeTable, zeroUnused } from '../../../src/pack/image/unused.ts'
import { range } from './fixtures.ts'

const SIZE = 200
const ranges = fc.array(
  fc.tuple(fc.nat(SIZE + 50), fc.nat(60)).map(([offset, length]) => range(offset, length)),
  { maxLength: 8 },
)

/** Byte by byte, from the ranges as given. */
function unusedBytes(given: readonly { offset: number; length: number }[]): boolean[] {
  return Array.from({ length: SIZE }, (_, at) =>
    given.some(({ offset, length }) => at >= offset && at < offset + length),
  )
}

describe('makeRangeTable', () => {
  it('joins ranges that touch or overlap, and cuts at the end of the payload', () => {
    const given = [range(50, 10), range(0, 5), range(5, 5), range(55, 20), range(190, 100)]
    expect([...makeRangeTable(given, SIZE)]).toEqual([0, 10, 50, 75, 190, 200])
  })

  it('lies in shared memory', () => {
    expect(makeRangeTable([range(0, 1)], SIZE).buffer).toBeInstanceOf(SharedArrayBuffer)
  })
})

describe('isUnused', () => {
  it('holds exactly when every byte is in a range', () => {
    fc.assert(
      fc.property(ranges, fc.nat(SIZE - 1), fc.integer({ min: 1, max: 80 }), (given, at, size) => {
        const end = Math.min(SIZE, at + size)
        const expected = unusedBytes(given).slice(at, end).every(Boolean)
        expect(isUnused(makeRangeTable(given, SIZE), at, end)).toBe(expected)
      }),
    )
  })
})

describe('zeroUnused', () => {
  it('zeroes the bytes in ranges and no others', () => {
    fc.assert(
      fc.property(ranges, fc.nat(SIZE - 1), fc.integer({ min: 1, max: 80 }), (given, at, size) => {
        const raw = new Uint8Array(Math.min(size, SIZE - at)).fill(7)
        zeroUnused(makeRangeTable(given, SIZE), at, raw)
        const unused = unusedBytes(given).slice(at, at + raw.length)
        expect([...raw]).toEqual(unused.map((one) => (one ? 0 : 7)))
      }),
    )
  })
})
