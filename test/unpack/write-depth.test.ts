/** The depth of writing, from given latencies: no clock, no disk. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MIB } from '../../src/units.ts'
import { depthLimits, WriteDepth } from '../../src/unpack/write-depth.ts'

const limits = { least: 2, start: 4, most: 6 }

/** Tells of `count` writes of 4 MiB; gives the depth afterwards. */
function told(control: WriteDepth, latencyMs: (depth: number) => number, count: number): number {
  for (let n = 0; n < count; n += 1) control.ended(latencyMs(control.depth), 4 * MIB)
  return control.depth
}

describe('the depth of writing', () => {
  it('begins by the class of disk, and stays when it hears nothing', () => {
    expect(new WriteDepth(limits).depth).toBe(4)
    expect(new WriteDepth(depthLimits('nvme')).depth).toBe(6)
    expect(new WriteDepth(depthLimits('spinning')).depth).toBe(2)
  })

  it('rises on a disk that takes writes side by side: each takes as long as alone', () => {
    expect(told(new WriteDepth(limits), () => 5, 100)).toBe(limits.most)
  })

  it('stays below the most on a disk that takes them in turn, once that was seen', () => {
    const control = new WriteDepth({ least: 1, start: 1, most: 16 })
    const depth = told(control, (inFlight) => 5 * inFlight, 400)
    expect(depth).toBeGreaterThanOrEqual(2)
    expect(depth).toBeLessThanOrEqual(5)
  })

  it('is halved when the disk stalls, and rises again when it has recovered', () => {
    const control = new WriteDepth(limits)
    told(control, () => 5, 64)
    expect(told(control, () => 200, 8)).toBe(3)
    expect(told(control, () => 200, 8)).toBe(limits.least)
    expect(told(control, () => 5, 64)).toBe(limits.most)
  })

  it('is lowered one by one when latency climbs', () => {
    const control = new WriteDepth(limits)
    told(control, () => 5, 64)
    expect(told(control, () => 15, 8)).toBe(5)
    expect(told(control, () => 20, 8)).toBe(4)
  })

  it('rises again on a disk that has become slower for good', () => {
    const control = new WriteDepth(limits)
    told(control, () => 5, 64)
    expect(told(control, () => 100, 16)).toBe(limits.least)
    expect(told(control, () => 100, 1_600)).toBe(limits.most)
  })

  it('does not listen to small writes', () => {
    const control = new WriteDepth(limits)
    told(control, () => 5, 64)
    for (let n = 0; n < 100; n += 1) control.ended(500, 4_096)
    expect(control.depth).toBe(limits.most)
  })

  it('counts a write of 1 MiB as a quarter of one of 4 MiB', () => {
    const control = new WriteDepth(limits)
    told(control, () => 8, 64)
    for (let n = 0; n < 64; n += 1) control.ended(2, MIB)
    expect(control.depth).toBe(limits.most)
  })

  it('stays within its bounds, whatever it is told', () => {
    const latencies = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { maxLength: 200 })
    fc.assert(
      fc.property(latencies, fc.constantFrom('nvme', 'removable', 'virtual'), (all, kind) => {
        const { least, most, start } = depthLimits(kind)
        const control = new WriteDepth({ least, most, start })
        for (const latency of all) {
          control.ended(latency, 4 * MIB)
          expect(control.depth).toBeGreaterThanOrEqual(least)
          expect(control.depth).toBeLessThanOrEqual(most)
        }
      }),
    )
  })
})
