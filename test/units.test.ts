import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  alignDown,
  alignUp,
  byteCount,
  byteOffset,
  formatBytes,
  formatDuration,
  GIB,
  KIB,
  MIB,
} from '../src/units.ts'

const makers = { byteCount, byteOffset }
const whole = fc.nat(Number.MAX_SAFE_INTEGER)

test('the units are binary', () => {
  expect([KIB, MIB, GIB]).toEqual([2 ** 10, 2 ** 20, 2 ** 30])
})

test.each(Object.entries(makers))('%s takes every whole number up to 2^53 - 1', (_, make) => {
  fc.assert(
    fc.property(whole, (n) => {
      expect(make(n)).toBe(n)
    }),
  )
  expect(make(0)).toBe(0)
  expect(make(Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER)
})

test.each(Object.entries(makers))('%s refuses everything else', (_, make) => {
  const wrong = [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, -Number.MIN_VALUE]
  for (const n of wrong) expect(() => make(n), String(n)).toThrow(RangeError)
})

test('the error says which of the two it is', () => {
  expect(() => byteCount(-1)).toThrow('not a byte count: -1')
  expect(() => byteOffset(1.5)).toThrow('not a byte offset: 1.5')
})

const unit = fc.integer({ min: 1, max: 8 * MIB })
const place = fc.nat(2 ** 44)

test('aligning up gives the smallest multiple that is not below', () => {
  fc.assert(
    fc.property(place, unit, (n, step) => {
      const up = alignUp(n, step)
      expect(up % step).toBe(0)
      expect(up).toBeGreaterThanOrEqual(n)
      expect(up - n).toBeLessThan(step)
    }),
  )
})

test('aligning down gives the largest multiple that is not above', () => {
  fc.assert(
    fc.property(place, unit, (n, step) => {
      const down = alignDown(n, step)
      expect(down % step).toBe(0)
      expect(down).toBeLessThanOrEqual(n)
      expect(n - down).toBeLessThan(step)
    }),
  )
})

test('a multiple stays where it is, in both directions', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 20), unit, (times, step) => {
      expect(alignUp(times * step, step)).toBe(times * step)
      expect(alignDown(times * step, step)).toBe(times * step)
    }),
  )
})

test.each([
  [0, '0 B'],
  [1, '1 B'],
  [1023, '1023 B'],
  [1024, '1.00 KiB'],
  [1536, '1.50 KiB'],
  [999 * KIB, '999 KiB'],
  [1_023_900, '999.9 KiB'],
  [1000 * KIB, '1000 KiB'],
  [1023 * KIB, '1023 KiB'],
  [MIB, '1.00 MiB'],
  [1.5 * GIB, '1.50 GiB'],
  [1024 * GIB, '1.00 TiB'],
  [5000 * 1024 * GIB, '5000 TiB'],
])('%i bytes are %s', (n, words) => {
  expect(formatBytes(n)).toBe(words)
})

test('bytes for people are within half a per cent', () => {
  const units = new Map([
    ['B', 1],
    ['KiB', KIB],
    ['MiB', MIB],
    ['GiB', GIB],
    ['TiB', 1024 * GIB],
  ])
  fc.assert(
    fc.property(fc.oneof(fc.nat(2 ** 21), fc.nat(2 ** 49)), (n) => {
      expect(formatBytes(n)).toMatch(/^\d+(\.\d+)? [KMGT]?i?B$/)
      const [value = '', name = ''] = formatBytes(n).split(' ')
      const read = Number(value) * (units.get(name) ?? Number.NaN)
      expect(Math.abs(read - n)).toBeLessThanOrEqual(n * 0.005)
    }),
  )
})

test.each([
  [0, '0.0 s'],
  [0.04, '0.0 s'],
  [0.8, '0.8 s'],
  [59.9, '59.9 s'],
  [59.97, '1 min 00 s'],
  [60, '1 min 00 s'],
  [65, '1 min 05 s'],
  [3_599, '59 min 59 s'],
  [3_600, '1 h 00 min'],
  [7_380, '2 h 03 min'],
  [360_000, '100 h 00 min'],
])('%d seconds are %s', (seconds, words) => {
  expect(formatDuration(seconds)).toBe(words)
})

test('no duration reads as 60 of anything', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.nat(8_000).map((n) => n / 100),
        fc.nat(1_000_000).map((n) => n / 10),
      ),
      (seconds) => {
        expect(formatDuration(seconds)).not.toMatch(/\b60(\.0)? (s|min)\b/)
      },
    ),
  )
})
