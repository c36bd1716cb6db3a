import { expect, test } from 'vitest'
import { diskEntries } from '../../bench/disk-entries.ts'
import { betterOf, FLOOR, floorRatios, isBelow, ratioText } from '../../bench/floor-rules.ts'
import type { Measurement } from '../../bench/measure.ts'

const run = (seconds: number, cpuSeconds = 2 * seconds): Measurement => ({
  seconds,
  wallSeconds: seconds,
  cpuSeconds,
  peakBytes: 0,
})

const rule = {
  what: 'x',
  time: 'seconds',
  ours: 'unpack',
  theirs: ['write', 'decode'],
  wanted: 0.5,
} as const

test('the slower of several is what osflash is compared with', () => {
  const measured = new Map([
    ['unpack', [run(4)]],
    ['write', [run(1)]],
    ['decode', [run(3)]],
  ])
  expect(floorRatios(measured, [rule])).toEqual([{ ...rule, got: 0.75 }])
})

test('a round in which the machine was busy does not count', () => {
  const measured = new Map([
    ['unpack', [run(40), run(4), run(9)]],
    ['write', [run(1), run(2)]],
    ['decode', [run(8), run(3)]],
  ])
  expect(floorRatios(measured, [rule])[0]?.got).toBe(0.75)
})

test('processor seconds are compared with processor seconds', () => {
  const measured = new Map([
    ['unpack', [run(1, 4)]],
    ['write', [run(1, 1)]],
    ['decode', [run(1, 1)]],
  ])
  expect(floorRatios(measured, [{ ...rule, time: 'cpuSeconds' }])[0]?.got).toBe(0.25)
})

test('an entry that did not run is no pass', () => {
  expect(() => floorRatios(new Map([['unpack', [run(1)]]]), [rule])).toThrow(RangeError)
})

test('a ratio just below is below, and is not shown as what is wanted', () => {
  const ratio = { ...rule, got: 0.4999 }
  expect(isBelow(ratio)).toBe(true)
  expect(ratioText(ratio)).toBe('BELOW: x: 0.49, wanted 0.5')
  expect(isBelow({ ...rule, got: 0.5 })).toBe(false)
  expect(ratioText({ ...rule, got: 0.5 })).toBe('ok: x: 0.50, wanted 0.5')
})

test('every rule is about entries of the bench, and about osflash', () => {
  const kinds = new Map(diskEntries.map(({ name, kind }) => [name, kind]))
  for (const { ours, theirs } of FLOOR) {
    expect(ours === 'decode' ? 'osflash' : kinds.get(ours)).toBe('osflash')
    expect(theirs.filter((name) => !kinds.has(name))).toEqual([])
  }
})

test('a rule that has passed stays passed; one that was below may still pass', () => {
  const at = (...got: number[]) => got.map((one) => ({ ...rule, got: one }))
  expect(betterOf([], at(0.4, 0.6))).toEqual(at(0.4, 0.6))
  expect(betterOf(at(0.4, 0.6), at(0.55, 0.45))).toEqual(at(0.55, 0.6))
})
