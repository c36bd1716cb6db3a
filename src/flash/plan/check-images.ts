/**
 * Whether these images may be used, and on this host: each question refuses in one line.
 *
 * 1. Of an image alone: a disk, not expired, not older than what this host took before.
 * 2. Against the host: architecture and firmware.
 * 3. Against the disks: sector size, room for the target, room for the rescue and the store.
 * 4. Against each other: nothing by which a boot loader searches may be there twice.
 *
 * Expiry and sequence are questions of trust (exit status 4), the others refusals (3).
 */
import { OsflashError } from '../../errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import { formatBytes } from '../../units.ts'
import type { DiskRange } from '../../unpack/plan.ts'
import { appendedRange, planDisk } from '../../unpack/plan.ts'
import type { Disk } from '../host/disk-identity.ts'
import type { HostFacts } from '../host/host.ts'
import { nodesOf } from '../host/lsblk.ts'
import { rootPlace, startOf } from '../image-places.ts'
import { storeBytesFor } from '../store-shape.ts'
import { refused } from './refused.ts'

/** What an image is for. */
export type ImageRole = 'rescue' | 'target'

/** @throws OsflashError `refused` */
export function checkDiskImage(role: ImageRole, manifest: Manifest): void {
  const what = `checking the ${role} ${manifest.name}`
  if (manifest.disk === undefined) {
    throw refused(`${what}: it holds a tree, not a disk`, `name a disk image with --${role}`)
  }
  if (manifest.os.family !== 'linux') {
    throw refused(`${what}: it holds ${manifest.os.family}, not Linux`, 'only Linux is supported')
  }
  const { fileSystem } = rootPlace(manifest)
  const fine = role === 'rescue' ? ['ext4'] : ['ext4', 'xfs', 'btrfs']
  if (!fine.includes(fileSystem)) {
    throw refused(`${what}: its root is ${fileSystem}`, `build it with ${fine.join(' or ')}`)
  }
  if (role === 'rescue' && manifest.disk.table.kind !== 'gpt') {
    throw refused(`${what}: its partition table is no GPT`, 'build it with disk.table: gpt')
  }
}

/**
 * A clock that stands at 1970 must not make an image fresh: the images' own times count as well.
 * @throws OsflashError `trust`
 */
export function checkFresh(manifests: readonly Manifest[], nowMs: number): void {
  const latestMs = Math.max(nowMs, ...manifests.map(({ created }) => Date.parse(created)))
  for (const { name, expires } of manifests) {
    if (expires !== undefined && Date.parse(expires) <= latestMs) {
      throw new OsflashError('trust', `checking ${name}: it expired at ${expires}`, {
        hints: ['use an image that was made later'],
      })
    }
  }
}

/** @throws OsflashError `trust` for an image older than one of its name that was taken before */
export function checkSequence(
  { name, sequence }: Manifest,
  taken: Readonly<Record<string, number>>,
): void {
  const least = taken[name] ?? 0
  if (sequence >= least) return
  throw new OsflashError(
    'trust',
    `checking ${name}: its sequence is ${sequence}, this host took ${least} before`,
    { data: { sequence, least }, hints: ['use an image that is at least as new'] },
  )
}

/** @throws OsflashError `refused` */
export function checkHostFits(
  role: ImageRole,
  manifest: Manifest,
  host: Pick<HostFacts, 'architecture' | 'firmware'>,
): void {
  const { name, architecture, firmware, disk } = manifest
  const what = `checking the ${role} ${name}`
  if (architecture !== host.architecture) {
    throw refused(
      `${what}: it is for ${architecture}, this host is ${host.architecture}`,
      'use an image for this architecture',
    )
  }
  const wanted = host.firmware
  if (!firmware.includes(wanted)) {
    const has = firmware.length === 0 ? 'no firmware' : firmware.join(' and ')
    throw refused(
      `${what}: it boots under ${has}, this host runs ${wanted}`,
      `build it with firmware: [${wanted}]`,
    )
  }
  if (wanted === 'uefi' && startOf(manifest).esp === undefined) {
    throw refused(`${what}: it has no EFI system partition`, 'build it with a partition role: esp')
  }
  if (wanted === 'bios' && disk?.table.kind === 'none') {
    throw refused(
      `${what}: its partition table is part of its data, so its boot code is not known`,
      'build it from a recipe with disk.table: gpt or mbr',
    )
  }
}

/** @throws OsflashError `refused` when the target needs more room or other sectors */
export function checkTargetFits(manifest: Manifest, disk: Disk): void {
  planDisk(manifest, [], { bytes: disk.bytes, sectorBytes: disk.sectorBytes })
}

/**
 * Where the store will lie on the stage.
 * @param packedBytes size of the packed target
 * @throws OsflashError `refused` when the rescue or the store does not fit
 */
export function checkStageFits(rescue: Manifest, stage: Disk, packedBytes: number): DiskRange {
  const least = rescue.disk?.minimumBytes ?? 0
  if (stage.bytes < least) {
    throw refused(
      `checking the stage ${stage.path}: it has ${formatBytes(stage.bytes)}, ` +
        `the rescue alone needs ${formatBytes(least)}`,
      'name a larger disk with --stage',
    )
  }
  planDisk(rescue, [], { bytes: stage.bytes, sectorBytes: stage.sectorBytes })
  if (rescue.disk === undefined) throw new RangeError('checked before: the rescue is a disk')
  const store = appendedRange(rescue.disk, stage.bytes)
  const need = storeBytesFor(packedBytes)
  if (store.length >= need) return store
  const [has, wants] = [formatBytes(store.length), formatBytes(need)]
  throw new OsflashError(
    'refused',
    `checking the stage ${stage.path}: it has ${has} for the store, the target needs ${wants}`,
    { data: { bytes: store.length, need }, hints: ['name a larger disk with --stage'] },
  )
}

/** Systems that are there at the same time, and what they would be searched by. */
export interface ApartFacts {
  readonly rescue: Manifest
  readonly target: Manifest
  readonly disks: readonly Disk[]
  readonly disk: Disk
  readonly stage: Disk
}

/**
 * The rescue stands beside the first OS, then beside the target, and both beside other disks.
 * @throws OsflashError `refused` naming the identifier that two of them share
 */
export function checkApart({ rescue, target, disks, disk, stage }: ApartFacts): void {
  const others = disks.filter((one) => one.path !== disk.path && one.path !== stage.path)
  const shared = (manifest: Manifest, what: string, against: ReadonlySet<string>): void => {
    const same = [...identifiersOf(manifest)].find((id) => against.has(id))
    if (same === undefined) return
    throw refused(
      `checking the ${manifest === rescue ? 'rescue' : 'target'} ${manifest.name}: ` +
        `${what} has the same identifier ${same}`,
      'build the image under another name: identifiers come from it',
    )
  }
  shared(rescue, 'the target', identifiersOf(target))
  shared(rescue, `the disk ${disk.path}`, diskIdentifiers(disk))
  for (const other of others) {
    shared(rescue, `the disk ${other.path}`, diskIdentifiers(other))
    shared(target, `the disk ${other.path}`, diskIdentifiers(other))
  }
}

/** GUID of the table, and UUIDs of file systems; short ones (vfat) are not unique anyway. */
function identifiersOf({ disk }: Manifest): ReadonlySet<string> {
  const found = new Set<string>()
  const add = (id: string | undefined): void => {
    if (id !== undefined && id.length >= 36) found.add(id.toLowerCase())
  }
  if (disk?.table.kind === 'gpt') add(disk.table.guid)
  for (const { guid, fileSystem } of disk?.partitions ?? []) {
    add(guid)
    add(fileSystem?.uuid)
  }
  return found
}

function diskIdentifiers({ node, tableId }: Disk): ReadonlySet<string> {
  const uuids = [...nodesOf(node)].map(({ uuid }) => uuid)
  return new Set([tableId, ...uuids].flatMap((id) => (id === undefined ? [] : id.toLowerCase())))
}
