import { readFile } from 'node:fs/promises'
import { beforeAll, expect, test } from 'vitest'
import {
  checkCoreSector,
  coreLbaOf,
  guardedDrive,
  guardedSector,
  isGuarded,
  makeGuardCode,
  type StageStart,
} from '../../../src/flash/boot/guard.ts'
import { CORE_LBA, coreSector, stageSector0 } from './grub-disk.ts'

let stage: StageStart
beforeAll(async () => {
  stage = { sector0: await stageSector0(), sectors: 100_000 }
})

/** The stage with one byte of its sector 0 changed. */
function changed(at: number, byte: number): StageStart {
  const sector0 = Uint8Array.from(stage.sector0)
  sector0[at] = byte
  return { ...stage, sector0 }
}

test("the guard's code is the stage's, with the drive that the stage is", () => {
  const code = makeGuardCode(stage, 0x81)
  const differing = [...code.keys()].filter((i) => code[i] !== stage.sector0[i])
  expect(code).toHaveLength(440)
  expect(differing).toEqual([0x64])
  expect(code[0x64]).toBe(0x81)
  expect(coreLbaOf(stage)).toBe(CORE_LBA)
})

test('the disk that the BIOS starts cannot be the stage, nor can a drive beyond 0x8F', () => {
  for (const drive of [0x80, 0x90, 0, 0xff, (0x81).valueOf() + 0.5]) {
    expect(() => makeGuardCode(stage, drive)).toThrow(/^making the guard: the stage is BIOS drive/)
  }
  expect(makeGuardCode(stage, 0x8f)[0x64]).toBe(0x8f)
})

test.each([
  [0, 0xe9, "is not GRUB's"],
  [0x5a, 1, "is not GRUB's"],
  [0x180, 0, "is not GRUB's"],
  [0x64, 0x80, 'names a drive of its own'],
  [0x66, 0xeb, 'names a drive of its own'],
  [0x63, 1, "names sector 72057594037929984 as the core image's"],
  [510, 0, 'has no boot signature'],
])('byte %i of the stage as %i is refused', (at, byte, why) => {
  expect(() => makeGuardCode(changed(at, byte), 0x81)).toThrow(
    `making the guard: sector 0 of the stage ${why}`,
  )
})

test('boot.img as it is shipped is refused: it checks the drive by itself', async () => {
  const sector0 = await readFile('/usr/lib/grub/i386-pc/boot.img')
  expect(() => coreLbaOf({ ...stage, sector0 })).toThrow(/names a drive of its own/)
  expect(() => coreLbaOf({ ...stage, sector0: sector0.subarray(0, 511) })).toThrow(/511 bytes/)
})

test('a core image must begin where the boot code looks', () => {
  expect(() => checkCoreSector(coreSector(), CORE_LBA)).not.toThrow()
  const refusal = "making the guard: sector 2049 of the stage is not GRUB's core image"
  expect(() => checkCoreSector(coreSector(), 2049)).toThrow(refusal)
  expect(() => checkCoreSector(new Uint8Array(512), 2049)).toThrow(refusal)
})

test('a guarded sector keeps the table, and is known again with its drive', () => {
  const own = new Uint8Array(512).fill(0x11)
  const code = makeGuardCode(stage, 0x82)
  const sector = guardedSector(own, code)
  expect(sector.subarray(0, 440)).toEqual(code)
  expect(sector.subarray(440, 510)).toEqual(own.subarray(440, 510))
  expect([...sector.subarray(510)]).toEqual([0x55, 0xaa])
  expect(isGuarded(sector, code)).toBe(true)
  expect(guardedDrive(sector, stage)).toBe(0x82)
  expect(isGuarded(sector, makeGuardCode(stage, 0x81))).toBe(false)
  sector[511] = 0
  expect(guardedDrive(sector, stage)).toBeUndefined()
  expect(guardedDrive(stage.sector0, stage)).toBeUndefined()
  expect(() => guardedSector(own, code.subarray(1))).toThrow(RangeError)
})
