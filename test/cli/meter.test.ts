import { expect, test } from 'vitest'
import { PhaseMeter } from '../../src/cli/meter.ts'
import type { AmountEvent } from '../../src/events.ts'
import { GIB, MIB } from '../../src/units.ts'

const bytes = (done: number, total: number): AmountEvent => ({
  event: 'progress',
  phase: 'writing',
  done,
  total,
  unit: 'bytes',
})

test('before the first amount there is only the name', () => {
  const meter = new PhaseMeter('writing', 0)
  expect(meter.describe(5_000)).toBe('writing')
  expect(meter.fraction()).toBeUndefined()
  expect(meter.summary(1.5, false)).toBe('writing: done in 1.5 s')
})

test('shows part, rate and time left', () => {
  const meter = new PhaseMeter('writing', 0)
  for (let second = 1; second <= 4; second++) {
    meter.note(bytes(second * 100 * MIB, 1 * GIB), second * 1000)
  }
  expect(meter.describe(4_000)).toBe('writing: 39 % of 1.00 GiB, 100 MiB/s, 6.2 s left')
})

test('the rate is that of the last ten seconds', () => {
  const meter = new PhaseMeter('writing', 0)
  for (let second = 1; second <= 60; second++) {
    const slow = Math.min(second, 30) * MIB
    const fast = Math.max(0, second - 30) * 10 * MIB
    meter.note(bytes(slow + fast, GIB), second * 1000)
  }
  expect(meter.describe(60_000)).toMatch(/10\.0 MiB\/s/)
})

test('gives no rate in the first half second', () => {
  const meter = new PhaseMeter('writing', 0)
  meter.note(bytes(GIB, 2 * GIB), 100)
  expect(meter.describe(100)).toBe('writing: 50 % of 2.00 GiB')
})

test('a total of zero is not known', () => {
  const meter = new PhaseMeter('writing', 0)
  meter.note(bytes(3 * MIB, 0), 1_000)
  expect(meter.fraction()).toBeUndefined()
  expect(meter.describe(1_000)).toBe('writing: 3.00 MiB, 3.00 MiB/s')
})

test('a stall shows as a rate that falls', () => {
  const meter = new PhaseMeter('writing', 0)
  meter.note(bytes(100 * MIB, GIB), 1_000)
  expect(meter.describe(4_000)).toContain('25.0 MiB/s')
})

test('the summary has the mean, and says where it failed', () => {
  const meter = new PhaseMeter('writing', 0)
  meter.note(bytes(GIB, GIB), 4_000)
  expect(meter.summary(4, false)).toBe('writing: 1.00 GiB in 4.0 s, 256 MiB/s')
  expect(meter.summary(4, true)).toBe('writing: failed after 4.0 s at 1.00 GiB')
  expect(meter.elapsedSeconds(4_500)).toBe(4.5)
})

test('items are counted as such', () => {
  const meter = new PhaseMeter('unpacking', 0)
  meter.note({ ...bytes(50, 200), unit: 'items' }, 1_000)
  expect(meter.describe(1_000)).toBe('unpacking: 25 % of 200 items, 50 items/s, 3.0 s left')
  expect(meter.summary(40, false)).toBe('unpacking: 50 items in 40.0 s, 1.3 items/s')
})
