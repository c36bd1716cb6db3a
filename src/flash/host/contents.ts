/**
 * What lies on a disk, device by device, and who knows of it.
 *
 * 1. The disk itself, its partitions, and what lies on those (LVM, RAID, dm-crypt): each is asked
 *    with `blkid -p`, which reads the disk and no cache.
 * 2. A device that holds no known signature is looked at: all zero at its start, or data.
 * 3. Mounts, swap and fstab tell what the first OS knows; sysfs tells what spans several disks.
 *
 * Reads only. What may be erased is decided in plan/check-disks.ts.
 */
import { open, readdir, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { ioError } from '../../errors.ts'
import { deviceNumber } from '../../system/disk-kind.ts'
import { run } from '../../system/run.ts'
import { MIB } from '../../units.ts'
import type { Disk } from './disk-identity.ts'
import { probe } from './disks.ts'
import type { HostFacts } from './host.ts'
import { type BlockNode, nodesOf } from './lsblk.ts'
import { disksOfDevice } from './mounts.ts'

/** How much of a device without signature is looked at. */
const LOOK_BYTES = MIB

export interface DiskContent {
  readonly path: string
  readonly bytes: number
  /** `disk`, `part`, `lvm`, …: as lsblk says it. */
  readonly type: string
  /** What blkid finds: `ext4`, `LVM2_member`, `ambivalent`. */
  readonly content?: string
  readonly label?: string
  readonly uuid?: string
  /** Type GUID, or type byte as `0x5`. */
  readonly partitionType?: string
  readonly partitionName?: string
  /** GUID of the partition, lower case. */
  readonly partitionUuid?: string
  readonly mountPoints: readonly string[]
  /** Where fstab puts it; `none` for swap. */
  readonly fstabPoint?: string
  readonly isSwap: boolean
  /** A partition table lies at its start, or its copy at the end. */
  readonly hasTable: boolean
  /** The table names partitions that the kernel does not show, or cannot be read. */
  readonly hidesPartitions: boolean
  /** Nothing but zeros at its start. */
  readonly isBlank: boolean
  /** Names of other disks that hold parts of the same. */
  readonly otherDisks: readonly string[]
  readonly children: readonly DiskContent[]
}

type Known = Pick<HostFacts, 'mounts' | 'fstab' | 'swaps'>

/**
 * The disk and all that lies on it, as a tree.
 * @throws OsflashError `io` for a device that cannot be read
 */
export function readContents(disk: Disk, known: Known): Promise<DiskContent> {
  return readNode(disk.node, { disk, known })
}

interface Context {
  readonly disk: Disk
  readonly known: Known
}

async function readNode(node: BlockNode, context: Context): Promise<DiskContent> {
  const { disk, known } = context
  const tags = await probe(node.path)
  const [content, label, uuid] = [tags.get('TYPE'), tags.get('LABEL'), tags.get('UUID')]
  const [partitionType, partitionName] = [tags.get('PART_ENTRY_TYPE'), tags.get('PART_ENTRY_NAME')]
  const partitionUuid = tags.get('PART_ENTRY_UUID')?.toLowerCase()
  const hasTable = tags.get('PTTYPE') !== undefined
  const fstabPoint = await fstabPointOf(node, tags, known)
  const children: DiskContent[] = []
  for (const child of node.children) children.push(await readNode(child, context))
  return {
    path: node.path,
    bytes: node.bytes,
    type: node.type,
    ...given({ content, label, uuid, fstabPoint }),
    ...given({ partitionType, partitionName, partitionUuid }),
    mountPoints: await mountPointsOf(node, known),
    isSwap: content === 'swap' || known.swaps.includes(node.path),
    hasTable,
    hidesPartitions: hasTable && children.length === 0 && !(await hasEmptyTable(node, tags)),
    isBlank: content === undefined && !hasTable && (await isZero(node)),
    otherDisks: (await spanOf(node, tags)).filter((name) => name !== disk.name),
    children,
  }
}

/** A damaged primary GPT: the kernel then takes no copy, libblkid does. */
async function hasEmptyTable(
  { path }: BlockNode,
  tags: ReadonlyMap<string, string>,
): Promise<boolean> {
  // A protective MBR whose GPT is lost.
  if (tags.get('PTTYPE') === 'PMBR') return false
  const shown = await run(['partx', '--show', '--noheadings', '-o', 'NR', path], {
    statuses: [0, 1],
  })
  return shown.status === 0 && shown.stdout.trim() === ''
}

type Texts = Readonly<Record<string, string | undefined>>

/** Without what is absent or empty. */
function given<Fields extends Texts>(fields: Fields): { [Key in keyof Fields]?: string } {
  const kept: { [Key in keyof Fields]?: string } = {}
  for (const key in fields) {
    const value = fields[key]
    if (value !== undefined && value !== '') kept[key] = value
  }
  return kept
}

/** By device number; btrfs has numbers of its own making, there by the source. */
async function mountPointsOf(node: BlockNode, { mounts }: Known): Promise<string[]> {
  const own = await realpath(node.path)
  const number = deviceNumber((await stat(own)).rdev)
  const points: string[] = []
  for (const { source, point, device } of mounts) {
    const bySource = device.startsWith('0:') && source.startsWith('/dev/')
    const same = bySource ? (await realpath(source).catch(() => '')) === own : device === number
    if (same) points.push(point)
  }
  return [...new Set(points)]
}

async function fstabPointOf(
  node: BlockNode,
  tags: ReadonlyMap<string, string>,
  { fstab }: Known,
): Promise<string | undefined> {
  const own = await realpath(node.path)
  for (const { source, point } of fstab) {
    const [name = '', value = ''] = source.split('=', 2)
    if (source.startsWith('/')) {
      if ((await realpath(source).catch(() => source)) === own) return point
    } else if (value !== '' && tagOf(tags, name)?.toLowerCase() === value.toLowerCase()) {
      return point
    }
  }
  return undefined
}

function tagOf(tags: ReadonlyMap<string, string>, name: string): string | undefined {
  if (name === 'PARTUUID') return tags.get('PART_ENTRY_UUID')
  if (name === 'PARTLABEL') return tags.get('PART_ENTRY_NAME')
  return name === 'UUID' || name === 'LABEL' ? tags.get(name) : undefined
}

/** The disks below what stands on this device: RAID, LVM, and btrfs of several devices. */
async function spanOf(node: BlockNode, tags: ReadonlyMap<string, string>): Promise<string[]> {
  const devices = [...nodesOf(node)].map(({ path }) => path)
  const uuid = tags.get('UUID')
  if (tags.get('TYPE') === 'btrfs' && uuid !== undefined) {
    const folder = join('/sys/fs/btrfs', basename(uuid), 'devices')
    const names = await readdir(folder).catch(() => [])
    devices.push(...names.map((name) => `/dev/${name}`))
  }
  return [...new Set((await Promise.all(devices.map(disksOfDevice))).flat())]
}

async function isZero({ path, bytes }: BlockNode): Promise<boolean> {
  try {
    await using file = await open(path)
    const start = Buffer.alloc(Math.min(LOOK_BYTES, bytes))
    const { bytesRead } = await file.read(start, 0, start.length, 0)
    return start.subarray(0, bytesRead).every((byte) => byte === 0)
  } catch (cause) {
    throw ioError(`looking at ${path}`, cause)
  }
}
