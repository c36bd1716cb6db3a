import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { efiVariables } from '../../../src/flash/boot/efi-variables.ts'
import { checkFirmware, checkNotStartedFrom } from '../../../src/flash/boot/firmware-check.ts'
import { run } from '../../../src/system/run.ts'
import { MIB } from '../../../src/units.ts'
import { FIRMWARE, GLOBAL, uefiHost } from './uefi-host.ts'

test('the check of the firmware leaves nothing, also of one that was cut', async () => {
  const one = await uefiHost()
  const before = await one.snapshot()
  await checkFirmware(one.folder)
  expect(await one.snapshot()).toEqual(before)
  const name = Buffer.from('osflash check\0', 'utf16le').toString('hex')
  const left = Buffer.from(`07000000000000000400${name}7fff0400`, 'hex')
  await writeFile(join(one.folder, `Boot0007-${GLOBAL}`), left)
  await checkFirmware(one.folder)
  expect(await one.snapshot()).toEqual(before)
})

test('a stage that this host booted from is refused', async () => {
  const one = await uefiHost()
  const check = (disk: string) => checkNotStartedFrom(disk, one.folder)
  // An entry of the firmware's own, without a partition.
  await check(one.stage)
  await one.first.arm()
  await efiVariables(one.folder).write('BootCurrent', Buffer.from([2, 0]))
  await expect(check(one.stage)).rejects.toMatchObject({
    code: 'refused',
    message: `checking the stage ${one.stage}: this host booted from its ESP`,
  })
  await check(one.disk)
  await writeFile(one.stage, new Uint8Array(MIB))
  await check(one.stage)
  await efiVariables(one.folder).remove('BootCurrent')
  await check(one.disk)
})

test('a stage that the firmware starts first is refused, whatever was started', async () => {
  const one = await uefiHost()
  await one.first.arm()
  await checkNotStartedFrom(one.stage, one.folder)
  await one.boot.guard()
  await expect(checkNotStartedFrom(one.stage, one.folder)).rejects.toMatchObject({
    code: 'refused',
    message: `checking the stage ${one.stage}: the firmware starts it first`,
    hints: [expect.stringContaining('efibootmgr -o')],
  })
  await checkNotStartedFrom(one.disk, one.folder)
  const variables = efiVariables(one.folder)
  // One that is gone is passed over, and one that is not active.
  await variables.write('BootOrder', Buffer.from([9, 0, 2, 0, 1, 0]))
  await expect(checkNotStartedFrom(one.stage, one.folder)).rejects.toThrow('starts it first')
  const option = Buffer.from((await variables.read('Boot0002')) ?? [])
  await variables.write('Boot0002', Buffer.concat([Buffer.alloc(4), option.subarray(4)]))
  await checkNotStartedFrom(one.stage, one.folder)
  await variables.write('Boot0002', option)
  await variables.remove('BootCurrent')
  await expect(checkNotStartedFrom(one.stage, one.folder)).rejects.toThrow('starts it first')
})

test('Secure Boot, and firmware that cannot be seen, are refused', async () => {
  const one = await uefiHost({ ...FIRMWARE, SecureBoot: '01' })
  await expect(checkFirmware(one.folder)).rejects.toThrow('Secure Boot is on')
  const off = await uefiHost({ ...FIRMWARE, SecureBoot: '00' })
  await checkFirmware(off.folder)
  const none = await uefiHost({})
  await expect(checkFirmware(none.folder)).rejects.toThrow('its variables cannot be seen')
  await expect(checkFirmware(join(one.folder, 'none'))).rejects.toMatchObject({ code: 'refused' })
})

test.skipIf(process.getuid?.() !== 0)('needs root: variables that take nothing', async () => {
  const one = await uefiHost()
  await run(['mount', '--bind', one.folder, one.folder])
  try {
    await run(['mount', '-o', 'remount,bind,ro', one.folder])
    await expect(checkFirmware(one.folder)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringMatching(/^checking the firmware: chang.*read-only/),
    })
  } finally {
    await run(['umount', one.folder])
  }
})
