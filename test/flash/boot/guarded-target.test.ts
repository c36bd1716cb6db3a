import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { isGuarded, makeGuardCode } from '../../../src/flash/boot/guard.ts'
import { guardTarget } from '../../../src/flash/boot/guarded-target.ts'
import { MIB } from '../../../src/units.ts'
import { type FakeTarget, fakeTarget } from '../../unpack/fake-target.ts'
import { targetContract } from '../../unpack/target-contract.ts'
import { stageSector0 } from './grub-disk.ts'

let guardCode: Uint8Array
beforeAll(async () => {
  guardCode = makeGuardCode({ sector0: await stageSector0(), sectors: 100_000 }, 0x81)
})

const DISK_BYTES = 12_288

/** A disk whose sector 0 already is the guard, as `guard()` leaves it. */
function guarded(disk: FakeTarget) {
  disk.disk.set(guardCode)
  disk.disk.set([0x55, 0xaa], 510)
  const kept: Uint8Array[] = []
  const ownSector0 = Uint8Array.from(disk.disk.subarray(0, 512))
  const remember = async (sector: Uint8Array) => {
    disk.log.push('remember')
    kept.push(sector)
  }
  return { target: guardTarget(disk, { guardCode, ownSector0, remember }), kept }
}

describe('a guarded target is a target', () => {
  targetContract(async () => guarded(fakeTarget(32 * MIB, false)).target)
})

const rangeArbitrary = fc
  .tuple(fc.integer({ min: 0, max: DISK_BYTES - 1 }), fc.integer({ min: 0, max: 9_000 }))
  .map(([offset, length]) => ({ offset, length: Math.min(length, DISK_BYTES - offset) }))
const nearStart = fc
  .tuple(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 600 }))
  .map(([offset, length]) => ({ offset, length }))
const act = fc.record({
  kind: fc.constantFrom('write' as const, 'zero' as const, 'zeroAll' as const),
  range: fc.oneof(rangeArbitrary, nearStart),
  fill: fc.nat(255),
})

test('whatever is written, the guard is there and reads give what was meant', () =>
  fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 12 }), async (acts) => {
      const disk = fakeTarget(DISK_BYTES, false)
      const { target } = guarded(disk)
      const meant = Buffer.from(disk.disk)
      disk.before = () => expect(isGuarded(disk.disk, guardCode)).toBe(true)
      for (const { kind, range, fill } of acts) {
        const { offset, length } = range
        if (kind === 'write') await target.write(offset, new Uint8Array(length).fill(fill))
        if (kind === 'zero') await target.zero(offset, length)
        if (kind === 'zeroAll') await target.zeroAll([range, { offset: 440, length: 72 }])
        meant.fill(kind === 'write' ? fill : 0, offset, offset + length)
        if (kind === 'zeroAll') meant.fill(0, 440, 512)
        expect(isGuarded(disk.disk, guardCode)).toBe(true)
      }
      const seen = Buffer.alloc(DISK_BYTES)
      await target.read(0, seen)
      expect(seen.equals(meant)).toBe(true)
      expect(target.ownSector0()).toEqual(Uint8Array.from(meant.subarray(0, 512)))
      expect(disk.disk.subarray(440, 510)).toEqual(meant.subarray(440, 510))
      expect(disk.disk.subarray(512)).toEqual(meant.subarray(512))
    }),
  ))

test('the first page is one write, behind the rest, once it is remembered', async () => {
  const disk = fakeTarget(DISK_BYTES, false)
  const { target, kept } = guarded(disk)
  await target.write(0, new Uint8Array(10_000).fill(9))
  expect(disk.log).toEqual(['write 4096 5904', 'remember', 'write 0 4096'])
  expect(kept).toEqual([new Uint8Array(512).fill(9)])
  disk.log.length = 0
  await target.zeroAll([{ offset: 0, length: DISK_BYTES }])
  expect(disk.log).toEqual(['remember', 'write 0 4096', `zero 4096 ${DISK_BYTES - 4096}`])
})

test('writes to the first page that overlap in time take turns', async () => {
  const disk = fakeTarget(DISK_BYTES, false)
  const { target, kept } = guarded(disk)
  const fills = [1, 2, 3]
  await Promise.all(fills.map((fill) => target.write(fill, new Uint8Array(512 - fill).fill(fill))))
  expect(disk.log.filter((text) => text !== 'remember')).toHaveLength(3)
  expect([...target.ownSector0().subarray(0, 5)]).toEqual([guardCode[0], 1, 2, 3, 3])
  expect(kept.at(-1)).toEqual(target.ownSector0())
})

test('what is not remembered is not written, and the next write is not lost', async () => {
  const disk = fakeTarget(DISK_BYTES, false)
  let failures = 1
  const target = guardTarget(disk, {
    guardCode,
    ownSector0: new Uint8Array(512),
    remember: async () => {
      if (failures-- > 0) throw new Error('store is full')
    },
  })
  await expect(target.write(0, new Uint8Array(512).fill(1))).rejects.toThrow('store is full')
  expect(disk.log).toEqual([])
  await target.write(0, new Uint8Array(512).fill(2))
  expect(isGuarded(disk.disk, guardCode)).toBe(true)
  expect(target.ownSector0()).toEqual(new Uint8Array(512).fill(2))
})

test('a sector without the guard is an error, not what was meant', async () => {
  for (const at of [0, 0x64, 439, 511]) {
    const disk = fakeTarget(DISK_BYTES, false)
    const { target } = guarded(disk)
    disk.disk[at] = (disk.disk[at] ?? 0) ^ 1
    await expect(target.read(0, new Uint8Array(4096))).rejects.toMatchObject({
      code: 'readback',
      message: 'reading back fake at byte 0: the guard is gone',
    })
    await target.read(512, new Uint8Array(512))
  }
})
