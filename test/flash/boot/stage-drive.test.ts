import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkEdd, checkFirstDrive, parseStageDrive } from '../../../src/flash/boot/stage-drive.ts'
import { makeScratch } from '../../../src/system/scratch.ts'

test.each([
  ['ro quiet osflash.stage=hd1,gpt3', 0x81],
  ['osflash.stage=hd0,msdos1 x=y\n', 0x80],
  ['osflash.stage=(hd12,gpt1)', 0x8c],
  ['osflash.stage=hd1,gpt3 osflash.stage=hd1,gpt3', 0x81],
])('%j is drive %i', (text, drive) => {
  expect(parseStageDrive(text)).toBe(drive)
})

test.each([
  ['ro quiet', 'nothing'],
  ['osflash.stage=', 'nothing'],
  ['osflash.stage=ahci1,gpt3', 'ahci1,gpt3'],
  ['osflash.stage=lvm/vg-root', 'lvm/vg-root'],
  ['osflash.stage=hd1', 'hd1'],
  ['osflash.stage=hd1,gpt3 osflash.stage=hd2,gpt3', 'hd1,gpt3 and hd2,gpt3'],
  ['notosflash.stage=hd1,gpt3', 'nothing'],
])('%j is refused', (text, seen) => {
  expect(() => parseStageDrive(text)).toThrow(
    `finding the BIOS drive of the stage: GRUB said ${seen}`,
  )
})

test.each(['ro osflash.first=(hd0,gpt2)/boot/grub', 'osflash.first="(hd0,msdos1)/grub" ro\n'])(
  '%j is the disk that the BIOS starts',
  (text) => {
    expect(() => checkFirstDrive(text)).not.toThrow()
  },
)

test.each([
  ['ro', 'nothing'],
  ['osflash.first=', 'nothing'],
  ['osflash.first=(hd1,gpt2)/boot/grub', '(hd1,gpt2)/boot/grub'],
  ['osflash.first=(hd01,gpt2)/boot/grub', '(hd01,gpt2)/boot/grub'],
  ['osflash.first=(ahci0,gpt2)/boot/grub', '(ahci0,gpt2)/boot/grub'],
  ['osflash.first=(hd0,gpt1)/a osflash.first=(hd1,gpt1)/a', '(hd0,gpt1)/a and (hd1,gpt1)/a'],
])('%j is not known to be it', (text, seen) => {
  expect(() => checkFirstDrive(text)).toThrow(`the first OS's GRUB lies in ${seen}, not on hd0`)
})

test('what the BIOS told the kernel must agree, as far as it told', async () => {
  await using scratch = await makeScratch('edd')
  const edd = join(scratch.path, 'edd')
  const drive = join(edd, 'int13_dev81')
  const disk = { drive: 0x81, sectors: 8_388_608, mbrSignature: 0x12345678 }
  await checkEdd(disk, edd)
  await mkdir(edd)
  await expect(checkEdd(disk, edd)).rejects.toThrow('asking the BIOS for drive 0x81: it has none')
  await mkdir(drive)
  await checkEdd(disk, edd)
  await writeFile(join(drive, 'sectors'), '8388608\n')
  await writeFile(join(drive, 'mbr_signature'), '0x12345678\n')
  await checkEdd(disk, edd)
  await expect(checkEdd({ ...disk, sectors: 1 }, edd)).rejects.toMatchObject({
    code: 'refused',
    message: 'asking the BIOS for drive 0x81: it has 8388608 sectors, the stage 1',
  })
  await expect(checkEdd({ ...disk, mbrSignature: 1 }, edd)).rejects.toThrow(
    'its sector 0 is not that of the stage',
  )
})
