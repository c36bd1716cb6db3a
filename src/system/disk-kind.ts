/**
 * What class of disk lies under a device or a file: it decides how many writes are worth it.
 *
 * 1. The device number leads to a folder of sysfs; its path names the bus and the driver.
 * 2. What a hypervisor or the kernel makes up (virtio, Xen, loop, device mapper) says nothing
 *    true about rotation, so it is a class of its own. USB and cards are one, too.
 * 3. Only real disks are asked whether they rotate.
 * 4. File systems without a device of their own (btrfs, tmpfs, network) are `unknown`.
 */
import { readFile, realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'

export type DiskKind = 'nvme' | 'ssd' | 'spinning' | 'removable' | 'virtual' | 'unknown'

/**
 * The class of the disk with this device number (`rdev` of a device, `dev` of a file).
 * Never fails: what cannot be found out is `unknown`.
 */
export async function diskKindOf(device: number): Promise<DiskKind> {
  const sysfs = await realpath(`/sys/dev/block/${deviceNumber(device)}`).catch(() => undefined)
  if (sysfs === undefined) return 'unknown'
  const texts = [sysfs, join(sysfs, '..')].map((folder) =>
    readFile(join(folder, 'queue/rotational'), 'utf8').catch(() => ''),
  )
  const [own, parents] = await Promise.all(texts)
  return diskKind(sysfs, (own || parents || '').trim() === '1')
}

/** `major:minor`, from Linux's 64-bit encoding. */
export function deviceNumber(rdev: number): string {
  const number = BigInt(rdev)
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n)
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n)
  return `${major}:${minor}`
}

/** @param sysfs the real path of the device's folder, of a disk or of a partition */
export function diskKind(sysfs: string, rotational: boolean): DiskKind {
  const name = basename(sysfs)
  if (/\/usb\d+\//.test(sysfs) || name.startsWith('mmcblk')) return 'removable'
  // With multipath it lies among the virtual ones.
  if (name.startsWith('nvme')) return 'nvme'
  if (/\/(virtio\d+|vbd-\d+|virtual)\//.test(sysfs)) return 'virtual'
  return rotational ? 'spinning' : 'ssd'
}
