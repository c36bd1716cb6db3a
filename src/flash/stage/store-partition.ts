/**
 * The node of the store's partition, once the kernel has it where the new table says.
 *
 * 1. The kernel keeps an old table while somebody uses a partition of it; a node of the same
 *    number then means another piece of the disk.
 * 2. sysfs says where a partition begins and how long it is, in sectors of 512 bytes whatever the
 *    disk has (Documentation/ABI/stable/sysfs-block).
 *
 * Not promised: that the partition stays what it is after the answer.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { partitionPath } from '../host/disks.ts'

const SYSFS = '/sys/class/block'
const SYSFS_SECTOR_BYTES = 512

export interface WrittenPartition {
  /** Path of the disk. */
  readonly disk: string
  /** From 1. */
  readonly number: number
  /** Where the table that was written has it, in bytes. */
  readonly offset: number
  readonly bytes: number
}

/**
 * Its path in /dev.
 * @param sysfs other than the default only in tests
 * @throws OsflashError `refused` when the kernel has it elsewhere, or not at all
 */
export async function storePartitionPath(
  { disk, number, offset, bytes }: WrittenPartition,
  sysfs = SYSFS,
): Promise<string> {
  const path = partitionPath(disk, number)
  const folder = join(sysfs, kernelName(disk), kernelName(path))
  const [start, size] = [await readBytes(folder, 'start'), await readBytes(folder, 'size')]
  if (start === offset && size === bytes) return path
  throw new OsflashError(
    'refused',
    `making the store on ${path}: the kernel does not have the new partitions of ${disk}`,
    {
      data: { offset, bytes, start: start ?? null, size: size ?? null },
      hints: [`fuser -vm ${disk} shows who uses an old one; a reboot helps, then apply again`],
    },
  )
}

/** `/dev/cciss/c0d0` is `cciss!c0d0`. */
const kernelName = (path: string): string => path.replace('/dev/', '').replaceAll('/', '!')

async function readBytes(folder: string, name: string): Promise<number | undefined> {
  const text = await readFile(join(folder, name), 'utf8').catch(() => '')
  return /^\d+\n?$/.test(text) ? Number(text) * SYSFS_SECTOR_BYTES : undefined
}
