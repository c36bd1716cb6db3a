/** Classes of disks, from paths of sysfs as real machines have them. */
import { stat } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { deviceNumber, diskKind, diskKindOf } from '../../src/system/disk-kind.ts'

const pci = '/sys/devices/pci0000:00'
const sata = `${pci}/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda`

describe('the class of a disk', () => {
  it.each([
    ['nvme', `${pci}/0000:00:1d.0/0000:3d:00.0/nvme/nvme0/nvme0n1`, false],
    ['nvme', `${pci}/0000:00:1d.0/0000:3d:00.0/nvme/nvme0/nvme0n1/nvme0n1p2`, false],
    ['nvme', '/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1', false],
    ['ssd', sata, false],
    ['spinning', sata, true],
    ['spinning', `${sata}/sda1`, true],
    ['removable', `${pci}/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb`, true],
    [
      'removable',
      '/sys/devices/platform/soc/fe340000.mmc/mmc_host/mmc0/mmc0:aaaa/block/mmcblk0',
      false,
    ],
    ['virtual', `${pci}/0000:00:02.0/virtio1/block/vda`, true],
    ['virtual', `${pci}/0000:00:02.0/virtio1/block/vda/vda1`, true],
    ['virtual', '/sys/devices/vbd-51712/block/xvda', false],
    ['virtual', '/sys/devices/virtual/block/loop0', false],
    ['virtual', '/sys/devices/virtual/block/dm-0', true],
  ])('is %s for %s', (kind, path, rotational) => {
    expect(diskKind(path, rotational)).toBe(kind)
  })

  it('is unknown where there is no block device, and no error', async () => {
    expect(await diskKindOf((await stat('/proc')).dev)).toBe('unknown')
  })

  it('takes both halves of the device number', () => {
    expect(deviceNumber(0x801)).toBe('8:1')
    expect(deviceNumber(0x1_03_45)).toBe('259:69')
    expect(deviceNumber(0x100_00_05)).toBe('0:4101')
  })
})
