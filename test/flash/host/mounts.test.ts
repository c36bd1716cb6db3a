/** Mounts and fstab as the kernel and administrators write them. */
import { mkdtemp, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  disksOfDevice,
  disksOfMount,
  isOnPlainDevice,
  isPlainFolder,
  mountOf,
  parseFstab,
  parseMountInfo,
  readMounts,
} from '../../../src/flash/host/mounts.ts'

const MOUNTINFO = `22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw
23 22 0:21 / /proc rw - proc proc rw
30 22 8:1 / /boot/efi rw - vfat /dev/sda1 rw
31 22 0:40 /@home /home\\040old rw shared:2 master:1 - btrfs /dev/sdb1 rw,subvol=/@home
32 22 8:2 /data /srv rw - ext4 /dev/sda2 rw
`

describe('mountinfo', () => {
  const mounts = parseMountInfo(MOUNTINFO)

  it('names device, place, file system and source, with and without optional fields', () => {
    expect(mounts).toHaveLength(5)
    expect(mounts[0]).toEqual({
      point: '/',
      fileSystem: 'ext4',
      source: '/dev/sda2',
      device: '8:2',
    })
    expect(mounts[3]).toMatchObject({ point: '/home old', fileSystem: 'btrfs' })
  })

  it.each([
    ['/', '/'],
    ['/boot', '/'],
    ['/boot/efi/EFI', '/boot/efi'],
    ['/boot/efivars', '/'],
    ['/srv', '/srv'],
  ])('tells where %s is: on %s', (path, point) => {
    expect(mountOf(mounts, path)?.point).toBe(point)
  })

  it('takes the last of two mounts on one place', () => {
    const twice = [...mounts, { point: '/srv', fileSystem: 'xfs', source: 'x', device: '9:9' }]
    expect(mountOf(twice, '/srv/a')?.fileSystem).toBe('xfs')
  })
})

it('fstab is read without comments, with quotes and escapes', () => {
  const lines = parseFstab(`# a comment
UUID=abc / ext4 defaults 0 1
LABEL="data" /srv/a\\040b xfs defaults

/dev/sdb1 none swap sw 0 0
broken
`)
  expect(lines).toEqual([
    { source: 'UUID=abc', point: '/', fileSystem: 'ext4' },
    { source: 'LABEL=data', point: '/srv/a b', fileSystem: 'xfs' },
    { source: '/dev/sdb1', point: 'none', fileSystem: 'swap' },
  ])
})

it.each([
  ['/sys/devices/pci0000:00/0000:00:05.0/virtio2/block/vda/vda1', true],
  ['/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nvme0n1p1', true],
  ['/sys/devices/virtual/block/dm-0', false],
  ['/sys/devices/virtual/block/md127', false],
])('a plain device lies in %s: %s', (folder, isPlain) => {
  expect(isPlainFolder(folder)).toBe(isPlain)
})

describe('the disks below', () => {
  it('are none for what is no device', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'osflash-mounts-'))
    try {
      expect(await disksOfDevice(folder)).toEqual([])
      expect(await disksOfDevice(join(folder, 'absent'))).toEqual([])
    } finally {
      await rmdir(folder)
    }
  })

  it('are none for proc, and it lies on no plain device', async () => {
    const proc = mountOf(await readMounts(), '/proc')
    if (proc === undefined) throw new Error('/proc is mounted everywhere')
    expect(await disksOfMount(proc)).toEqual([])
    expect(await isOnPlainDevice(proc)).toBe(false)
  })
})
