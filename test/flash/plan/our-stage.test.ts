/** What is an earlier stage, what only looks like one, and which plan a cut run goes on with. */
import { describe, expect, it } from 'vitest'
import type { DiskContent } from '../../../src/flash/host/contents.ts'
import { identityOf } from '../../../src/flash/host/disk-identity.ts'
import {
  asBegun,
  isCutStage,
  isOurStage,
  storePartition,
} from '../../../src/flash/plan/our-stage.ts'
import { planBytes, planDigest, type Victim } from '../../../src/flash/plan/plan.ts'
import { flashPlan } from '../flash-plan.ts'
import { content, part, disk as vdisk } from './fixtures.ts'

const bios = part('/dev/vdb1', { partitionType: '21686148-6449-6e6f-744e-656564454649' })
const esp = part('/dev/vdb2', {
  content: 'vfat',
  partitionType: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
})
const root = part('/dev/vdb3', { content: 'ext4', label: 'rescue', partitionName: 'root' })
const store = part('/dev/vdb4', {
  content: 'ext4',
  label: 'osflash-store',
  partitionName: 'osflash-store',
})
const disk = (...children: DiskContent[]) => content('/dev/vdb', { children })
const digest = 'a'.repeat(64)

describe('an earlier stage', () => {
  it.each<[string, DiskContent]>([
    ['whole', disk(bios, esp, root, store)],
    ['of UEFI alone', disk(esp, root, store)],
    [
      'mounted by a run that was killed',
      disk(root, { ...store, mountPoints: ['/run/osflash/store'] }),
    ],
    [
      'half blank again',
      disk(bios, { ...root, content: '', isBlank: true }, { ...store, isBlank: true }),
    ],
  ])('is ours: %s', (_, one) => {
    expect(isOurStage(one)).toBe(true)
  })

  const backups = part('/dev/vdb5', { content: 'ext4', label: 'backups' })
  it.each<[string, DiskContent]>([
    [
      'a partition of that name alone, with another file system',
      disk({ ...store, content: 'xfs' }),
    ],
    ['a store that was formatted anew', disk(esp, root, { ...store, label: 'backups' })],
    ['a partition of others beside it', disk(esp, root, store, backups)],
    ['a second root', disk(esp, root, { ...root, path: '/dev/vdb5' }, store)],
    ['a rescue that became swap', disk(esp, { ...root, content: 'swap', isSwap: true }, store)],
    ['a rescue that became a part of LVM', disk({ ...root, content: 'LVM2_member' }, store)],
    ['a store in fstab', disk(esp, root, { ...store, fstabPoint: '/srv/old' })],
    ['a store that is mounted', disk(esp, root, { ...store, mountPoints: ['/mnt'] })],
    ['something that stands on its store', disk(root, { ...store, children: [backups] })],
    ['two stores', disk(root, store, { ...store, path: '/dev/vdb5' })],
    ['no store', disk(esp, root)],
    ['nothing', content('/dev/vdb', { isBlank: true, hasTable: false })],
  ])('is not ours: %s', (_, one) => {
    expect(isOurStage(one)).toBe(false)
  })

  it('is the one that was begun here, also before its store has a file system', () => {
    const { label: _, ...formatted } = store
    const unformatted = { ...formatted, content: 'xfs', partitionUuid: storePartition(digest) }
    // The rescue of another recipe.
    const other = part('/dev/vdb2', { content: 'ext4', partitionName: 'system' })
    const begun = { planDigest: digest }
    expect(isOurStage(disk(esp, other, unformatted))).toBe(false)
    expect(isOurStage(disk(esp, other, unformatted), begun)).toBe(true)
    expect(isOurStage(disk(esp, other, unformatted), { planDigest: 'b'.repeat(64) })).toBe(false)
    const used = { ...unformatted, mountPoints: ['/mnt'] }
    expect(isOurStage(disk(esp, other, used), begun)).toBe(false)
  })
})

it('is the disk that a run was cut on before the kernel saw its table', () => {
  const own = vdisk('vdb')
  const hidden = content('/dev/vdb', { hidesPartitions: true })
  const begun = { planDigest: digest, stage: identityOf(own) }
  expect(isCutStage(own, hidden, begun)).toBe(true)
  expect(isCutStage(own, hidden)).toBe(false)
  expect(isCutStage(own, hidden, { planDigest: digest })).toBe(false)
  expect(isCutStage(own, content('/dev/vdb'), begun)).toBe(false)
  expect(isCutStage({ ...own, serials: ['another'], wwns: [] }, hidden, begun)).toBe(false)
})

describe('the plan of a run that was cut', () => {
  const victims: Victim[] = [{ path: '/dev/vdb1', bytes: 1_024, content: 'xfs', label: 'old' }]
  const first = flashPlan({ victims })
  const begun = { planDigest: planDigest(planBytes(first)), victims }
  const now = flashPlan({ victims: [{ path: '/dev/vdb', bytes: 1, content: 'an earlier stage' }] })
  const blank = content('/dev/vdb', { isBlank: true, hasTable: false })

  it.each<[string, DiskContent]>([
    ['while the rescue was written', blank],
    ['before the kernel saw the table', disk()],
    ['later', disk(bios, esp, root, store)],
  ])('is the same, octet for octet: cut %s', (_, stage) => {
    expect(planBytes(asBegun(now, stage, begun))).toEqual(planBytes(first))
  })

  it('is another one when anything else is', () => {
    const other = { ...now, go: { how: 'ssh' as const, withinSeconds: 900 } }
    expect(asBegun(other, blank, begun)).toBe(other)
    expect(asBegun(now, blank)).toBe(now)
    expect(asBegun(now, blank, { planDigest: begun.planDigest })).toBe(now)
  })

  it('is another one when somebody used the stage since then', () => {
    const used = disk(part('/dev/vdb1', { content: 'ext4', label: 'backups' }))
    expect(asBegun(now, used, begun)).toBe(now)
    const formatted = content('/dev/vdb', { content: 'xfs', hasTable: false })
    expect(asBegun(now, formatted, begun)).toBe(now)
  })
})
