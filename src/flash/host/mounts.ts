/**
 * What is mounted, what fstab knows, and on which disks it lies.
 *
 * 1. `/proc/self/mountinfo` and `/etc/fstab` are read as proc(5) and fstab(5) describe them, with
 *    their octal escapes.
 * 2. From a device down to its disks: partitions to their disk, RAID, LVM and dm-crypt through
 *    `slaves` of sysfs, so one mount may lie on several disks.
 * 3. btrfs has device numbers of its own making; there the mount's source is believed.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { deviceNumber } from '../../system/disk-kind.ts'

export interface Mount {
  readonly point: string
  readonly fileSystem: string
  /** A device, or what the file system calls its source. */
  readonly source: string
  /** `major:minor`. */
  readonly device: string
}

export interface FstabLine {
  /** `UUID=…`, `LABEL=…`, `PARTUUID=…`, `PARTLABEL=…` or a path. */
  readonly source: string
  /** `none` for swap. */
  readonly point: string
  readonly fileSystem: string
}

/** In the order of mounting: a later one may hide an earlier one. */
export function parseMountInfo(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ')
    const [, , device, , point] = left.split(' ')
    const [fileSystem, source] = right.split(' ')
    if (device === undefined || point === undefined || fileSystem === undefined) return []
    return [{ point: unescaped(point), fileSystem, source: unescaped(source ?? ''), device }]
  })
}

export function parseFstab(text: string): FstabLine[] {
  return text.split('\n').flatMap((line) => {
    const [source, point, fileSystem] = line.trim().split(/\s+/)
    if (!source || source.startsWith('#') || point === undefined || fileSystem === undefined) {
      return []
    }
    const plain = unescaped(source).replaceAll('"', '')
    return [{ source: plain, point: unescaped(point), fileSystem }]
  })
}

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  )

export async function readMounts(): Promise<Mount[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'))
}

export async function readFstab(): Promise<FstabLine[]> {
  return parseFstab(await readFile('/etc/fstab', 'utf8').catch(() => ''))
}

/** The mount that a path is on. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | undefined {
  const holds = ({ point }: Mount): boolean =>
    point === path || path.startsWith(point === '/' ? '/' : `${point}/`)
  return mounts
    .filter(holds)
    .reduce<Mount | undefined>(
      (best, one) => (best === undefined || one.point.length >= best.point.length ? one : best),
      undefined,
    )
}

/**
 * The names of the disks that a mount lies on: `sda`; none for what lies on no disk.
 */
export async function disksOfMount({ device, source }: Mount): Promise<string[]> {
  const folder = await realpath(`/sys/dev/block/${device}`).catch(() => undefined)
  if (folder !== undefined) return disksBelow(folder)
  return source.startsWith('/') ? disksOfDevice(source) : []
}

/** The same for the path of a block device; none for anything else. */
export async function disksOfDevice(path: string): Promise<string[]> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isBlockDevice() !== true) return []
  return disksBelow(await realpath(`/sys/dev/block/${deviceNumber(found.rdev)}`))
}

async function disksBelow(folder: string): Promise<string[]> {
  const below = await readdir(join(folder, 'slaves')).catch(() => [])
  if (below.length > 0) {
    const lists = below.map(async (name) =>
      disksBelow(await realpath(join(folder, 'slaves', name))),
    )
    return [...new Set((await Promise.all(lists)).flat())]
  }
  const isPartition = await stat(join(folder, 'partition')).then(
    () => true,
    () => false,
  )
  return [basename(isPartition ? dirname(folder) : folder)]
}

/** True when a mount lies on a disk or a partition itself: no RAID, LVM, dm-crypt or loop. */
export async function isOnPlainDevice({ device }: Mount): Promise<boolean> {
  const folder = await realpath(`/sys/dev/block/${device}`).catch(() => undefined)
  return folder !== undefined && isPlainFolder(folder)
}

/** @param folder of a device in sysfs; an NVMe disk with several paths is a virtual one there */
export const isPlainFolder = (folder: string): boolean =>
  !folder.includes('/virtual/') || folder.includes('/virtual/nvme-subsystem/')
