/** Refusals about images: what they are, their age, this host, its disks, and each other. */
import { describe, expect, it } from 'vitest'
import {
  checkApart,
  checkDiskImage,
  checkFresh,
  checkHostFits,
  checkSequence,
  checkStageFits,
  checkTargetFits,
} from '../../../src/flash/plan/check-images.ts'
import type { Manifest } from '../../../src/format/manifest.ts'
import { GIB, MIB } from '../../../src/units.ts'
import { disk, manifest, node, refusal, withDisk } from './fixtures.ts'

const [rescue, target] = [manifest('a'), manifest('b')]

describe('an image', () => {
  it('is a Linux disk that says where its root is', () => {
    expect(() => checkDiskImage('rescue', rescue)).not.toThrow()
    const { disk: _, ...tree } = target
    expect(refusal(() => checkDiskImage('target', tree)).message).toBe(
      'checking the target image-b: it holds a tree, not a disk',
    )
    const windows = { ...target, os: { family: 'windows' as const } }
    expect(refusal(() => checkDiskImage('target', windows)).message).toContain('not Linux')
    const { boot: __, ...rootless } = target
    expect(refusal(() => checkDiskImage('target', rootless)).message).toContain('where its root is')
  })

  it('has an ext4 root and a GPT when it is the rescue', () => {
    const [esp, root] = rescue.disk?.partitions ?? []
    if (esp === undefined || root === undefined) throw new Error('two partitions are expected')
    const xfs = withDisk(rescue, {
      partitions: [esp, { ...root, fileSystem: { kind: 'xfs', uuid: 'u' } }],
    })
    expect(refusal(() => checkDiskImage('rescue', xfs)).message).toContain('its root is xfs')
    expect(() => checkDiskImage('target', xfs)).not.toThrow()
    const mbr = withDisk(rescue, { table: { kind: 'mbr', diskId: '01234567' } })
    expect(refusal(() => checkDiskImage('rescue', mbr)).message).toContain('is no GPT')
    expect(() => checkDiskImage('target', mbr)).not.toThrow()
  })
})

describe('the age of an image', () => {
  const expiring = { ...target, expires: '2026-06-01T00:00:00Z' }
  const at = (time: string) => Date.parse(time)

  it('counts until it expires', () => {
    expect(() => checkFresh([rescue, expiring], at('2026-05-31T23:59:59Z'))).not.toThrow()
    const error = refusal(() => checkFresh([rescue, expiring], at('2026-06-01T00:00:00Z')))
    expect(error.code).toBe('trust')
    expect(error.message).toBe('checking image-b: it expired at 2026-06-01T00:00:00Z')
  })

  it('is not believed to a clock that stands still', () => {
    const later = { ...rescue, created: '2026-07-01T00:00:00Z' }
    expect(refusal(() => checkFresh([later, expiring], 0)).code).toBe('trust')
  })

  it('never goes down for one name', () => {
    expect(() => checkSequence(target, {})).not.toThrow()
    expect(() => checkSequence(target, { 'image-b': 5, 'image-a': 9 })).not.toThrow()
    expect(refusal(() => checkSequence(target, { 'image-b': 6 }))).toMatchObject({
      code: 'trust',
      message: 'checking image-b: its sequence is 5, this host took 6 before',
      data: { sequence: 5, least: 6 },
    })
  })
})

describe('an image and the host', () => {
  const bios = { architecture: 'x86_64', firmware: 'bios' as const }
  const uefi = { architecture: 'x86_64', firmware: 'uefi' as const }

  it.each([bios, uefi])('fit: %o', (host) => {
    expect(() => checkHostFits('target', target, host)).not.toThrow()
  })

  it.each<[Manifest, typeof bios | typeof uefi, string]>([
    [{ ...target, architecture: 'aarch64' }, bios, 'it is for aarch64, this host is x86_64'],
    [{ ...target, firmware: ['uefi'] }, bios, 'it boots under uefi, this host runs bios'],
    [{ ...target, firmware: ['bios'] }, uefi, 'it boots under bios, this host runs uefi'],
    [{ ...target, firmware: [] }, uefi, 'it boots under no firmware'],
    [withDisk(target, { table: { kind: 'none' } }), bios, 'its boot code is not known'],
    [
      withDisk(target, { partitions: target.disk?.partitions.slice(1) ?? [] }),
      uefi,
      'no EFI system partition',
    ],
  ])('do not fit %#', (image, host, words) => {
    const error = refusal(() => checkHostFits('target', image, host))
    expect(error.code).toBe('refused')
    expect(error.message).toContain('checking the target image-b: ')
    expect(error.message).toContain(words)
  })
})

describe('an image and the disks', () => {
  it('fit by size and sectors', () => {
    expect(() => checkTargetFits(target, disk('vda'))).not.toThrow()
    const small = disk('vda', { bytes: 1_199 * MIB })
    expect(refusal(() => checkTargetFits(target, small)).message).toContain('the image needs')
    const large = disk('vda', { sectorBytes: 4_096 })
    expect(refusal(() => checkTargetFits(target, large)).message).toContain('sectors of 4096')
  })

  it('leave room for the store: the packed target, 5 %, and what a store needs itself', () => {
    // Table, ESP and root end at 1,153 MiB; the last MiB holds the backup table.
    const stage = disk('vdb', { bytes: 1_153 * MIB + 170 * MIB + MIB })
    const store = checkStageFits(rescue, stage, 96 * MIB)
    expect(store).toEqual({ offset: 1_153 * MIB, length: 170 * MIB })
    const error = refusal(() => checkStageFits(rescue, stage, 98 * MIB))
    expect(error.message).toBe(
      'checking the stage /dev/vdb: it has 170 MiB for the store, the target needs 172 MiB',
    )
    expect(error.hints).toEqual(['name a larger disk with --stage'])
  })

  it('refuse a stage that the rescue alone does not fit', () => {
    const tiny = disk('vdb', { bytes: 512 * MIB })
    const error = refusal(() => checkStageFits(rescue, tiny, 1))
    expect(error.message).toMatch(/^checking the stage .*: it has 512 MiB, the rescue alone needs/)
  })
})

describe('systems that stand beside each other', () => {
  const facts = { rescue, target, disk: disk('vda'), stage: disk('vdb') }
  const disks = [facts.disk, facts.stage, disk('vdc')]

  it('may have nothing in common by which they are searched', () => {
    expect(() => checkApart({ ...facts, disks })).not.toThrow()
    const twin = { ...rescue, name: 'image-b' }
    expect(refusal(() => checkApart({ ...facts, target: twin, disks })).message).toContain(
      'checking the rescue image-a: the target has the same identifier',
    )
  })

  it('are told from the first OS by its table and its file systems', () => {
    const tableId = rescue.disk?.table.kind === 'gpt' ? rescue.disk.table.guid : ''
    const sameTable = disk('vda', { tableId })
    const byTable = refusal(() => checkApart({ ...facts, disk: sameTable, disks }))
    expect(byTable.message).toContain('the disk /dev/vda has the same identifier')
    const uuid = rescue.disk?.partitions[1]?.fileSystem?.uuid?.toUpperCase() ?? ''
    const child = node('vda2', { uuid })
    const sameRoot = disk('vda', { node: node('vda', { children: [child] }) })
    expect(refusal(() => checkApart({ ...facts, disk: sameRoot, disks })).code).toBe('refused')
  })

  it('may be the first OS again, or an earlier stage, which are gone by then', () => {
    const tableId = target.disk?.table.kind === 'gpt' ? target.disk.table.guid : ''
    const again = disk('vda', { tableId })
    const known = [again, facts.stage]
    expect(() => checkApart({ ...facts, disk: again, disks: known })).not.toThrow()
    const rescueId = rescue.disk?.table.kind === 'gpt' ? rescue.disk.table.guid : ''
    const stage = disk('vdb', { tableId: rescueId })
    expect(() => checkApart({ ...facts, stage, disks: [facts.disk, stage] })).not.toThrow()
  })

  it('are told from every other disk', () => {
    const tableId = target.disk?.table.kind === 'gpt' ? target.disk.table.guid : ''
    const third = disk('vdc', { tableId, bytes: GIB })
    const error = refusal(() => checkApart({ ...facts, disks: [...disks, third] }))
    expect(error.message).toContain('checking the target image-b: the disk /dev/vdc')
  })
})
