/** The guard is known by the stage that it was made of; every other sector 0 is the host's own. */
import { randomBytes } from 'node:crypto'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { guardedSector, makeGuardCode } from '../../../src/flash/boot/guard.ts'
import { isGuardOf, isRescueFirst, startsByStage } from '../../../src/flash/boot/native-start.ts'
import { MIB } from '../../../src/units.ts'
import { flashPlan } from '../flash-plan.ts'
import { isRoot, loopDevice, scratchFolder } from '../host-fixture.ts'
import { stageSector0 } from './grub-disk.ts'
import { uefiHost } from './uefi-host.ts'

test('a guard of this stage, for whichever drive', async () => {
  const sector0 = await stageSector0()
  for (const drive of [0x81, 0x8f]) {
    const code = makeGuardCode({ sector0, sectors: 100_000 }, drive)
    expect(isGuardOf(guardedSector(new Uint8Array(512), code), sector0)).toBe(true)
  }
})

test('boot code of its own is none, nor is the guard of another stage', async () => {
  const sector0 = await stageSector0()
  expect(isGuardOf(sector0, sector0)).toBe(false)
  expect(isGuardOf(new Uint8Array(512), sector0)).toBe(false)
  const code = makeGuardCode({ sector0, sectors: 100_000 }, 0x81)
  const other = Uint8Array.from(sector0)
  other[0x5c] = (other[0x5c] ?? 0) ^ 1
  expect(isGuardOf(guardedSector(new Uint8Array(512), code), other)).toBe(false)
})

test('under UEFI the first of the order counts, while the stage can start at all', async () => {
  const { boot, first, stage, variables } = await uefiHost()
  expect(await isRescueFirst(stage, variables)).toBe(false)
  await first.arm()
  await boot.guard()
  expect(await isRescueFirst(stage, variables)).toBe(true)
  await truncate(stage, 0)
  await truncate(stage, 1_048_576)
  expect(await isRescueFirst(stage, variables)).toBe(false)
})

test.skipIf(!isRoot)(
  'under BIOS a disk that starts by itself needs no stage (as root)',
  async () => {
    const folder = await scratchFolder()
    const diskOf = async (name: string, sector0: Uint8Array) => {
      const file = join(folder, name)
      await writeFile(file, Buffer.concat([sector0, randomBytes(MIB - sector0.length)]))
      return { serial: file, bytes: MIB, sectorBytes: 512, path: await loopDevice(file) } as const
    }
    const own = await stageSector0()
    const code = makeGuardCode({ sector0: own, sectors: 100_000 }, 0x81)
    const stage = await diskOf('stage', own)
    const guarded = await diskOf('guarded', guardedSector(own, code))
    const gone = { ...stage, serial: join(folder, 'gone'), path: '/dev/none' }
    expect(await startsByStage(flashPlan({ disk: guarded, stage }))).toBe(true)
    await expect(startsByStage(flashPlan({ disk: guarded, stage: gone }))).rejects.toMatchObject({
      code: 'refused',
    })
    expect(await startsByStage(flashPlan({ disk: stage, stage: gone }))).toBe(false)
  },
)
