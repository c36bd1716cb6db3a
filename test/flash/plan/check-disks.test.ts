/** Refusals about the two disks: one line each, and a way out. */
import { describe, expect, it } from 'vitest'
import type { DiskContent } from '../../../src/flash/host/contents.ts'
import {
  checkBootable,
  checkDiskData,
  checkPair,
  checkRoot,
  checkStageData,
  checkStageFree,
  victimsOf,
} from '../../../src/flash/plan/check-disks.ts'
import { content, disk, node, part, refusal } from './fixtures.ts'

const [a, b] = [disk('vda'), disk('vdb')]

describe('the pair of disks', () => {
  it('is two disks that can be written', () => {
    expect(() => checkPair(a, b)).not.toThrow()
    expect(refusal(() => checkPair(a, a)).message).toContain('named by --disk and by --stage')
    const locked = { ...b, readOnly: true }
    expect(refusal(() => checkPair(a, locked))).toMatchObject({
      code: 'refused',
      message: 'checking /dev/vdb: the disk is read-only',
      hints: ['blockdev --setrw /dev/vdb'],
    })
  })

  it('has the running system on the disk that is replaced, and there alone', () => {
    expect(() => checkRoot({ rootDisks: ['vda'] }, a, b)).not.toThrow()
    expect(refusal(() => checkRoot({ rootDisks: ['vdb'] }, a, b)).message).toBe(
      'checking the stage /dev/vdb: this system runs from it',
    )
    expect(refusal(() => checkRoot({ rootDisks: ['vdc'] }, a, b)).message).toBe(
      'checking the disk /dev/vda: this system runs from vdc',
    )
    expect(refusal(() => checkRoot({ rootDisks: [] }, a, b)).message).toContain('runs from no disk')
    expect(refusal(() => checkRoot({ rootDisks: ['vda', 'vdc'] }, a, b)).message).toContain(
      'runs from vda and vdc together',
    )
    expect(refusal(() => checkRoot({ rootDisks: ['vda', 'vdb'] }, a, b)).message).toContain('stage')
  })

  it('has a stage that nobody uses', () => {
    expect(() => checkStageFree(b, [])).not.toThrow()
    const mounted = refusal(() => checkStageFree(b, ['vdb1 is mounted on /srv/data']))
    expect(mounted.message).toContain('it is in use, vdb1 is mounted on /srv/data')
    expect(mounted.hints).toEqual(['umount /srv/data'])
    // What a run that was killed left mounted.
    const store = 'vdb4 is mounted on /run/osflash/store'
    expect(() => checkStageFree(b, [store])).not.toThrow()
    expect(refusal(() => checkStageFree(b, [store, 'vdb1 is swap'])).message).toContain('swap')
    const held = refusal(() => checkStageFree(b, ['vdb1 is part of md0']))
    expect(held.message).toContain('vdb1 is part of md0')
  })
})

const root = part('/dev/vda2', { content: 'ext4', mountPoints: ['/'], uuid: 'u-root' })
const esp = part('/dev/vda1', {
  content: 'vfat',
  partitionType: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
})
const ownDisk = (...more: DiskContent[]): DiskContent =>
  content('/dev/vda', { children: [esp, root, ...more] })

describe('disks that firmware starts from', () => {
  it.each(['bios', 'uefi'] as const)('are those of the machine: %s', (firmware) => {
    expect(() => checkBootable(firmware, [a, b])).not.toThrow()
    const usb = disk('sdb', { node: node('sdb', { transport: 'usb' }) })
    expect(() => checkBootable(firmware, [a, usb])).not.toThrow()
  })

  it('are no files, no network disks, and under BIOS none with large sectors', () => {
    const loop = disk('loop0', { node: node('loop0', { type: 'loop' }) })
    expect(refusal(() => checkBootable('uefi', [a, loop])).message).toBe(
      'checking /dev/loop0: it is a loop device, no firmware starts from it',
    )
    const remote = disk('sdb', { node: node('sdb', { transport: 'iscsi' }) })
    expect(refusal(() => checkBootable('bios', [a, remote])).message).toContain('by iscsi')
    const large = disk('sdb', { sectorBytes: 4_096 })
    expect(refusal(() => checkBootable('bios', [a, large])).message).toContain('4096 bytes')
    expect(() => checkBootable('uefi', [a, large])).not.toThrow()
  })
})

describe('what lies on the disk', () => {
  it.each<[string, DiskContent]>([
    ['swap', part('/dev/vda3', { content: 'swap', isSwap: true })],
    ['what fstab knows', part('/dev/vda3', { content: 'xfs', fstabPoint: '/data' })],
    ['what the system has mounted', part('/dev/vda3', { content: 'xfs', mountPoints: ['/home'] })],
    ['blank', part('/dev/vda3', { isBlank: true })],
    ['an extended partition', part('/dev/vda3', { partitionType: '0x5' })],
    ['BIOS boot', part('/dev/vda3', { partitionType: '21686148-6449-6e6f-744e-656564454649' })],
    [
      'LVM under the system',
      part('/dev/vda3', {
        content: 'LVM2_member',
        children: [
          part('/dev/mapper/vg-var', { type: 'lvm', content: 'ext4', fstabPoint: '/var' }),
        ],
      }),
    ],
  ])('is the first OS: %s', (_, one) => {
    expect(() => checkDiskData(ownDisk(one), false)).not.toThrow()
  })

  it.each<[DiskContent, string]>([
    [part('/dev/vda3', { content: 'ext4', label: 'decoy' }), 'a file system (ext4) that this'],
    [part('/dev/vda3', { content: 'xfs', mountPoints: ['/mnt/x'] }), 'a file system (xfs)'],
    [part('/dev/vda3', { content: 'linux_raid_member' }), 'a part of a RAID'],
    [part('/dev/vda3', { content: 'LVM2_member' }), 'a part of LVM'],
    [part('/dev/vda3', { content: 'zfs_member' }), 'a part of a ZFS pool'],
    [part('/dev/vda3', { content: 'crypto_LUKS' }), 'an encrypted volume (LUKS)'],
    [part('/dev/vda3', { content: 'ambivalent' }), 'signatures that contradict each other'],
    [part('/dev/vda3'), 'data of a kind that is not known'],
    [
      part('/dev/vda3', {
        content: 'linux_raid_member',
        otherDisks: ['vdc'],
        children: [part('/dev/md0', { type: 'raid1', content: 'ext4', fstabPoint: '/srv' })],
      }),
      'a part of a RAID that lies on vdc too',
    ],
    [
      part('/dev/vda3', {
        content: 'LVM2_member',
        children: [part('/dev/mapper/vg-x', { type: 'lvm', content: 'ext4' })],
      }),
      'a part of LVM',
    ],
  ])('is refused without --wipe-data: %o', (one, words) => {
    const error = refusal(() => checkDiskData(ownDisk(one), false))
    expect(error.code).toBe('refused')
    expect(error.message).toContain('checking the disk /dev/vda: /dev/vda3 (1.00 GiB) holds ')
    expect(error.message).toContain(words)
    expect(error.message).not.toContain('\n')
    expect(error.hints.join()).toContain('--wipe-data')
    expect(() => checkDiskData(ownDisk(one), true)).not.toThrow()
  })
})

describe('what lies on the stage', () => {
  const stageWith = (...children: DiskContent[]) => content('/dev/vdb', { children })

  const others = { isOurs: false, wipeData: false }

  it('may be nothing, an empty table, or an earlier stage', () => {
    const blank = content('/dev/vdb', { hasTable: false, isBlank: true })
    expect(() => checkStageData(blank, others)).not.toThrow()
    expect(() => checkStageData(stageWith(), others)).not.toThrow()
    const store = part('/dev/vdb3', { content: 'ext4' })
    expect(() => checkStageData(stageWith(store), { ...others, isOurs: true })).not.toThrow()
  })

  it.each<[string, DiskContent]>([
    ['a file system', stageWith(part('/dev/vdb1', { content: 'ext4' }))],
    ['one that fstab knows', stageWith(part('/dev/vdb1', { content: 'xfs', fstabPoint: '/x' }))],
    ['swap', stageWith(part('/dev/vdb1', { content: 'swap', isSwap: true }))],
    ['a file system without a table', content('/dev/vdb', { content: 'xfs', hasTable: false })],
    ['unknown data', content('/dev/vdb', { hasTable: false })],
    ['a table whose partitions nobody sees', content('/dev/vdb', { hidesPartitions: true })],
  ])('is refused without --wipe-data: %s', (_, stage) => {
    const error = refusal(() => checkStageData(stage, others))
    expect(error.message).toMatch(/^checking the stage \/dev\/vdb: \/dev\/vdb1? \(/)
    expect(() => checkStageData(stage, { ...others, wipeData: true })).not.toThrow()
  })
})

describe('what will be gone', () => {
  it('lists everything with where it is mounted, and an earlier stage as one', () => {
    const bound = { ...root, mountPoints: ['/run/netns', '/'] }
    const store = part('/dev/vdb3', { content: 'ext4', partitionName: 'osflash-store' })
    const stage = content('/dev/vdb', { children: [store] })
    expect(victimsOf(content('/dev/vda', { children: [bound] }), stage, true)).toEqual([
      { path: '/dev/vda2', bytes: root.bytes, content: 'ext4', mountPoint: '/' },
      { path: '/dev/vdb', bytes: stage.bytes, content: 'an earlier stage of osflash' },
    ])
  })

  it('lists a table whose partitions the kernel does not show', () => {
    const stage = content('/dev/vdb', { hidesPartitions: true })
    expect(victimsOf(content('/dev/vda'), stage, false)).toEqual([
      { path: '/dev/vdb', bytes: stage.bytes },
    ])
  })

  it('lists what lies on the stage, also without a table', () => {
    const stage = content('/dev/vdb', { content: 'xfs', hasTable: false, label: 'old' })
    expect(victimsOf(content('/dev/vda'), stage, false)).toEqual([
      { path: '/dev/vdb', bytes: stage.bytes, content: 'xfs', label: 'old' },
    ])
  })
})
