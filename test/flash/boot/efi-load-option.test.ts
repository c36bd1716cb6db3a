import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  encodeLoadOption,
  optionPattern,
  parseLoadOption,
  startsFile,
} from '../../../src/flash/boot/efi-load-option.ts'
import { run } from '../../../src/system/run.ts'

const esp = {
  number: 2,
  firstLba: 4096,
  sectors: 131_072,
  guid: 'aabbccdd-1122-3344-5566-778899aabbcc',
}
const path = '\\EFI\\BOOT\\BOOTX64.EFI'

/**
 * efibootmgr 17 of Debian 12, on a loop device with such a partition and a plain folder:
 * `EFIVARFS_PATH=vars/ efibootmgr -c -d /dev/loop0 -p 2 -L 'osflash rescue' -l '\EFI\BOOT\…'`.
 */
const BY_EFIBOOTMGR = Buffer.from(
  '010000005e006f00730066006c006100730068002000720065007300630075006500000004012a0002000000' +
    '00100000000000000000020000000000ddccbbaa2211443355667788' +
    '99aabbcc0202040430005c004500460049005c0042004f004f0054005c0042004f004f005400580036003400' +
    '2e00450046004900000' +
    '07fff0400',
  'hex',
)

test('a boot entry is that of efibootmgr, byte for byte', () => {
  const option = encodeLoadOption('osflash rescue', { esp, path })
  expect(Buffer.from(option).toString('hex')).toBe(BY_EFIBOOTMGR.toString('hex'))
  expect(parseLoadOption(BY_EFIBOOTMGR)).toEqual({
    active: true,
    description: 'osflash rescue',
    guid: esp.guid,
    path,
  })
})

test('it is known again by partition and path, whatever is around them', () => {
  expect(startsFile(BY_EFIBOOTMGR, { esp, path })).toBe(true)
  expect(startsFile(BY_EFIBOOTMGR, { esp, path: '\\efi\\boot\\bootx64.efi' })).toBe(true)
  expect(startsFile(BY_EFIBOOTMGR, { esp, path: '\\EFI\\debian\\grubx64.efi' })).toBe(false)
  const other = { guid: '00000000-1122-3344-5566-778899aabbcc' }
  expect(startsFile(BY_EFIBOOTMGR, { esp: other, path })).toBe(false)
  const inactive = Buffer.from(BY_EFIBOOTMGR)
  inactive[0] = 0
  expect(startsFile(inactive, { esp, path })).toBe(false)
  expect(startsFile(Buffer.concat([BY_EFIBOOTMGR, Buffer.from('data')]), { esp, path })).toBe(true)
  // PciRoot(0x0)/Pci(0x3,0x0) before the partition.
  const controller = Buffer.from('02010c00d041030a0000000001010600' + '0003', 'hex')
  const start = 6 + 2 * 'osflash rescue\0'.length
  const parts = [BY_EFIBOOTMGR.subarray(0, start), controller, BY_EFIBOOTMGR.subarray(start)]
  const longer = Buffer.concat(parts)
  longer.writeUInt16LE(0x5e + controller.length, 4)
  expect(startsFile(longer, { esp, path })).toBe(true)
})

/** What a shell says of each entry, as the agent reads it. */
async function matchedByShell(options: readonly Uint8Array[]): Promise<readonly boolean[]> {
  const lines = options.map((option) => `07000000${Buffer.from(option).toString('hex')}\n`)
  const pattern = optionPattern({ esp, path })
  const script = `while read -r hex; do case $hex in $1) echo yes ;; *) echo no ;; esac; done`
  const stdin = Buffer.from(lines.join(''))
  const { stdout } = await run(['dash', '-c', script, 'dash', pattern], { stdin })
  return stdout
    .trim()
    .split('\n')
    .map((line) => line === 'yes')
}

test('a shell knows it by the same', async () => {
  const other = { guid: '00000000-1122-3344-5566-778899aabbcc' }
  const start = 6 + 2 * 'osflash rescue\0'.length
  const controller = Buffer.from('02010c00d041030a00000000' + '01010600' + '0003', 'hex')
  const longer = Buffer.concat([
    BY_EFIBOOTMGR.subarray(0, start),
    controller,
    BY_EFIBOOTMGR.subarray(start),
  ])
  longer.writeUInt16LE(0x5e + controller.length, 4)
  const inactive = Buffer.from(BY_EFIBOOTMGR)
  inactive[0] = 0
  const ofOtherDisk = encodeLoadOption('osflash target', { esp: { ...esp, ...other }, path })
  const named = (file: string) => encodeLoadOption('UEFI OS', { esp, path: file })
  const options = [
    BY_EFIBOOTMGR,
    longer,
    Buffer.concat([BY_EFIBOOTMGR, Buffer.from('data')]),
    encodeLoadOption('', { esp: { ...esp, number: 9, firstLba: 7, sectors: 8 }, path }),
    named('\\efi\\Boot\\bootx64.EFI'),
    inactive,
    ofOtherDisk,
    named('\\EFI\\BOOT\\BOOTIA32.EFI'),
    named(`${path}2`),
    named('\\EFI\\debian\\grubx64.efi'),
    BY_EFIBOOTMGR.subarray(0, -4),
    new Uint8Array(),
  ]
  const expected = options.map((option) => startsFile(option, { esp, path }))
  expect(expected.filter(Boolean)).toHaveLength(5)
  expect(await matchedByShell(options)).toEqual(expected)
})

test('what OVMF writes for a disk without a partition is read, and is not ours', () => {
  // Boot0001 of OVMF 2022.11: PciRoot(0x0)/Pci(0x4,0x0) and optional data.
  const option = Buffer.from(
    '010000001600550045004600490020004d0069007300630020004400650076006900630065000000' +
      '02010c00d041030a00000000010106000004' +
      '7fff0400' +
      '4eac0881119f594d850ee21a522c59b2',
    'hex',
  )
  expect(parseLoadOption(option)).toEqual({
    active: true,
    description: 'UEFI Misc Device',
    guid: undefined,
    path: undefined,
  })
})

test('what is encoded is parsed as it was', () => {
  const name = fc.stringMatching(/^[ -~äöü]{0,40}$/)
  const guid = fc.uuid()
  const lba = fc.integer({ min: 0, max: 2 ** 50 })
  fc.assert(
    fc.property(name, guid, lba, (description, uuid, firstLba) => {
      const file = { esp: { number: 1, firstLba, sectors: 7, guid: uuid }, path }
      const option = encodeLoadOption(description, file)
      expect(parseLoadOption(option)).toEqual({ active: true, description, guid: uuid, path })
      expect(startsFile(option, file)).toBe(true)
    }),
  )
})

test('damaged entries are none, and never more than an answer', () => {
  for (let length = 0; length < BY_EFIBOOTMGR.length; length += 1) {
    expect(startsFile(BY_EFIBOOTMGR.subarray(0, length), { esp, path })).toBe(false)
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      parseLoadOption(bytes)
      expect(startsFile(bytes, { esp, path })).toBe(false)
    }),
  )
  for (const length of [0, 3, 255]) {
    const wrong = Buffer.from(BY_EFIBOOTMGR)
    wrong[6 + 30 + 2] = length
    expect(startsFile(wrong, { esp, path })).toBe(false)
  }
})
