/**
 * Whether these two disks may be erased: each question a function that refuses in one line.
 *
 * 1. `checkPair`: two disks, neither read-only.
 * 2. `checkRoot`: the first OS runs from the disk to be replaced, from that one alone.
 * 3. `checkBootable`: the firmware can start from both.
 * 4. `checkStageFree`: nobody uses the stage.
 * 5. `checkDiskData`, `checkStageData`: nothing is lost that the operator did not name.
 *
 * What is the first OS's: what it is mounted from, what fstab knows, swap, boot areas, and what
 * is blank. RAID, LVM and dm-crypt are, when all that stands on them is and on no other disk.
 */
import type { OsflashError } from '../../errors.ts'
import { formatBytes } from '../../units.ts'
import type { DiskContent } from '../host/contents.ts'
import type { Disk } from '../host/disk-identity.ts'
import type { HostFacts } from '../host/host.ts'
import { STORE_MOUNT } from '../places.ts'
import { BOOT_TYPES, victimOfStage } from './our-stage.ts'
import type { Victim } from './plan.ts'
import { refused } from './refused.ts'

/** @throws OsflashError `refused` */
export function checkPair(disk: Disk, stage: Disk): void {
  if (disk.path === stage.path) {
    throw refused(
      `checking the disks: ${disk.path} is named by --disk and by --stage`,
      'name a second disk with --stage; one alone cannot hold both systems',
    )
  }
  for (const { path, readOnly } of [disk, stage]) {
    if (readOnly) {
      throw refused(`checking ${path}: the disk is read-only`, `blockdev --setrw ${path}`)
    }
  }
}

/** Disks that are there only once an operating system runs. */
const LATE_TRANSPORTS: readonly string[] = ['iscsi', 'nbd', 'fcoe']
const BIOS_SECTOR_BYTES = 512

/** @throws OsflashError `refused` for disks that the firmware cannot start from */
export function checkBootable(firmware: HostFacts['firmware'], disks: readonly Disk[]): void {
  for (const { path, sectorBytes, node } of disks) {
    if (node.type !== 'disk') {
      throw refused(
        `checking ${path}: it is a ${node.type} device, no firmware starts from it`,
        'name a disk of this machine',
      )
    }
    if (LATE_TRANSPORTS.includes(node.transport ?? '')) {
      throw refused(
        `checking ${path}: it is reached by ${node.transport}, no firmware starts from it`,
        'name a disk inside this machine',
      )
    }
    if (firmware === 'bios' && sectorBytes !== BIOS_SECTOR_BYTES) {
      throw refused(
        `checking ${path}: it has sectors of ${sectorBytes} bytes, a BIOS starts from 512 only`,
        'such disks need UEFI',
      )
    }
  }
}

/** @throws OsflashError `refused` */
export function checkRoot(host: Pick<HostFacts, 'rootDisks'>, disk: Disk, stage: Disk): void {
  const { rootDisks } = host
  if (rootDisks.includes(stage.name)) {
    throw refused(
      `checking the stage ${stage.path}: this system runs from it`,
      '--disk is the disk of this system, --stage the other one',
    )
  }
  if (!rootDisks.includes(disk.name)) {
    const where = rootDisks.length === 0 ? 'no disk' : rootDisks.join(' and ')
    throw refused(
      `checking the disk ${disk.path}: this system runs from ${where}`,
      'name the disk of the running system with --disk',
    )
  }
  if (rootDisks.length > 1) {
    throw refused(
      `checking the disk ${disk.path}: this system runs from ${rootDisks.join(' and ')} together`,
      'a root on several disks (RAID, LVM) is not supported',
    )
  }
}

/**
 * @param users who uses it, in words (block-device.ts)
 * @throws OsflashError `refused`
 */
export function checkStageFree(stage: Disk, users: readonly string[]): void {
  // After a run that was killed the store is still mounted; staging goes on with it.
  const user = users.find((one) => !one.includes(` is mounted on ${STORE_MOUNT}`))
  if (user === undefined) return
  const point = /is mounted on (.*)/.exec(user)?.[1]
  const hint = point === undefined ? 'take it out of use' : `umount ${point}`
  throw refused(`checking the stage ${stage.path}: it is in use, ${user}`, hint)
}

/** @throws OsflashError `refused` unless `wipeData` */
export function checkDiskData(content: DiskContent, wipeData: boolean): void {
  const [found] = foreignOf(content)
  if (found !== undefined && !wipeData) throw notOurs('disk', content, found)
}

/**
 * The stage belongs to nobody, so all that is on it counts, unless it is a stage already.
 * @param isOurs what `isOurStage` says of it
 * @throws OsflashError `refused` unless `wipeData`
 */
export function checkStageData(
  content: DiskContent,
  { isOurs, wipeData }: { readonly isOurs: boolean; readonly wipeData: boolean },
): void {
  if (isOurs || wipeData) return
  const found = [...contentsOf(content)].find((one) => !isNothing(one))
  if (found !== undefined) throw notOurs('stage', content, { content: found, why: whatIs(found) })
}

function notOurs(role: string, { path }: DiskContent, { content, why }: Foreign): OsflashError {
  const size = formatBytes(content.bytes)
  return refused(
    `checking the ${role} ${path}: ${content.path} (${size}) holds ${why}`,
    'save what is needed from it; --wipe-data allows to erase it',
  )
}

/**
 * What would be gone, for the plan.
 * @param isOurs what `isOurStage` says of the stage
 */
export function victimsOf(disk: DiskContent, stage: DiskContent, isOurs: boolean): Victim[] {
  const ofDisk = contentsWithSomething(disk).map(victimOf)
  if (isOurs) return [...ofDisk, victimOfStage(stage)]
  return [...ofDisk, ...contentsWithSomething(stage).map(victimOf)]
}

const contentsWithSomething = (content: DiskContent): DiskContent[] =>
  [...contentsOf(content)].filter((one) => !(isWhole(one) && isNothing(one)))

function victimOf(one: DiskContent): Victim {
  const { path, bytes, content, label } = one
  // The shortest: bind mounts and snapshots of it have longer ones.
  const [point] = one.mountPoints.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))
  const mountPoint = point ?? one.fstabPoint
  return {
    path,
    bytes,
    ...(content === undefined ? {} : { content }),
    ...(label === undefined ? {} : { label }),
    ...(mountPoint === undefined ? {} : { mountPoint }),
  }
}

function* contentsOf(content: DiskContent): Generator<DiskContent> {
  yield content
  for (const child of content.children) yield* contentsOf(child)
}

interface Foreign {
  readonly content: DiskContent
  readonly why: string
}

function foreignOf(content: DiskContent): Foreign[] {
  const below = content.children.flatMap(foreignOf)
  const own = whyForeign(content, below)
  return own === undefined ? below : [{ content, why: own }, ...below]
}

function whyForeign(content: DiskContent, below: readonly Foreign[]): string | undefined {
  const { otherDisks } = content
  if (otherDisks.length > 0) return `${whatIs(content)} that lies on ${otherDisks.join(', ')} too`
  if (isNothing(content) || content.isSwap || isKnown(content)) return undefined
  // What stands on it speaks for it; while nothing does, nobody knows.
  if (content.children.length > 0 && !isWhole(content)) {
    return below.length === 0 ? undefined : whatIs(content)
  }
  return whatIs(content)
}

const EXTENDED_TYPES: readonly string[] = ['0x5', '0xf', '0x85']
/** Nothing that anybody would miss. */
function isNothing(one: DiskContent): boolean {
  const { content, isBlank, hasTable, hidesPartitions, partitionType = '' } = one
  if (isBlank || [...EXTENDED_TYPES, ...BOOT_TYPES].includes(partitionType)) return true
  // The partitions of a disk speak for themselves, where the kernel shows them.
  return content === undefined && hasTable && isWhole(one) && !hidesPartitions
}

const isWhole = ({ type }: Pick<DiskContent, 'type'>): boolean => type === 'disk' || type === 'loop'

/** Mounted where a system has its own, or listed in fstab. */
function isKnown({ mountPoints, fstabPoint }: DiskContent): boolean {
  return fstabPoint !== undefined || mountPoints.some((point) => SYSTEM_POINTS.test(point))
}

const SYSTEM_POINTS = /^\/(boot(\/efi)?|efi|usr|var|home|opt|srv|root)?$/

const NAMES: Readonly<Record<string, string>> = {
  LVM2_member: 'a part of LVM',
  linux_raid_member: 'a part of a RAID',
  zfs_member: 'a part of a ZFS pool',
  crypto_LUKS: 'an encrypted volume (LUKS)',
  ambivalent: 'signatures that contradict each other',
}

function whatIs({ content, label, hidesPartitions }: DiskContent): string {
  if (hidesPartitions) return 'partitions that the kernel does not show'
  if (content === undefined) return 'data of a kind that is not known'
  const name = NAMES[content] ?? `a file system (${content}) that this system does not use`
  return label === undefined ? name : `${name}, label ${label}`
}
