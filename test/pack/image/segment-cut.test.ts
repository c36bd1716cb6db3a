import { expect, it } from 'vitest'
import { LIMITS } from '../../../src/format/limits.ts'
import { segmentPlainBytesMax } from '../../../src/pack/image/segment-cut.ts'
import { GIB, MIB } from '../../../src/units.ts'

it('keeps segments short, until a manifest would hold too many', () => {
  expect(segmentPlainBytesMax(0)).toBe(128 * MIB)
  expect(segmentPlainBytesMax(2_047)).toBe(128 * MIB)
  expect(segmentPlainBytesMax(2_048)).toBe(GIB)
})

it('leaves room in a manifest for terabytes', () => {
  const entry = { bytes: GIB, sha256: '0'.repeat(64), plainBytes: GIB }
  const most = Math.floor(LIMITS.manifestBytes / (JSON.stringify(entry).length + 1))
  let bytes = 0
  for (let segment = 0; segment < most; segment += 1) bytes += segmentPlainBytesMax(segment)
  expect(bytes).toBeGreaterThan(5 * 1_024 * GIB)
  expect(segmentPlainBytesMax(LIMITS.segments)).toBeLessThanOrEqual(LIMITS.segmentPlainBytes)
})
