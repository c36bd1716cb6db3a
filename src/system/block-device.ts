/**
 * What the kernel says about a block device, before anybody writes to it.
 *
 * 1. Size and sector size come from sysfs, through the device number; names mean nothing.
 * 2. Busy: it or one of its partitions is mounted, is swap, or is held by RAID, LVM or dm-crypt.
 * 3. Whoever writes also opens it with `O_EXCL`, which the kernel refuses for a device in use;
 *    this module only finds the words for it.
 */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { ioError } from '../errors.ts'
import { type DiskKind, deviceNumber, diskKindOf } from './disk-kind.ts'
import { exists } from './exists.ts'

/** Sysfs counts in these, whatever the sector size of the device. */
const SYSFS_SECTOR_BYTES = 512

export interface BlockDevice {
  readonly path: string
  readonly bytes: number
  readonly sectorBytes: number
  /** Its class, for the number of writes in flight. */
  readonly kind: DiskKind
  /** WWN or serial number where the device has one, else its number and its start. */
  readonly identity: string
  /** Who uses it, in words; empty when nobody does. */
  readonly users: readonly string[]
}

/**
 * Describes the block device at `path`; `undefined` when the path is something else.
 * @throws OsflashError `io` when it cannot be looked at
 */
export async function describeBlockDevice(path: string): Promise<BlockDevice | undefined> {
  try {
    const { mode, rdev } = await stat(path)
    if ((mode & 0o170000) !== 0o060000) return undefined
    const sysfs = await realpath(`/sys/dev/block/${deviceNumber(rdev)}`)
    const queue = await queueFolder(sysfs)
    return {
      path,
      bytes: (await readNumber(join(sysfs, 'size'))) * SYSFS_SECTOR_BYTES,
      sectorBytes: await readNumber(join(queue, 'logical_block_size')),
      kind: await diskKindOf(rdev),
      identity: await identityOf(sysfs, deviceNumber(rdev)),
      users: await findUsers(sysfs),
    }
  } catch (cause) {
    throw ioError(`looking at ${path}`, cause)
  }
}

/** A disk keeps its WWN and serial number; `major:minor` is good until the next start at best. */
async function identityOf(sysfs: string, number: string): Promise<string> {
  const start = await readFile(join(sysfs, 'start'), 'utf8').catch(() => '0')
  for (const folder of [sysfs, join(sysfs, '..')]) {
    for (const name of ['wwid', 'device/wwid', 'serial', 'device/serial']) {
      const text = (await readFile(join(folder, name), 'utf8').catch(() => '')).trim()
      if (text !== '') return `device ${text} from ${start.trim()}`
    }
  }
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  return `device ${number} from ${start.trim()} of start ${boot.trim()}`
}

/** Partitions have no queue of their own. */
async function queueFolder(sysfs: string): Promise<string> {
  const own = join(sysfs, 'queue')
  return (await exists(own)) ? own : join(sysfs, '..', 'queue')
}

async function findUsers(sysfs: string): Promise<string[]> {
  const children = (await readdir(sysfs)).map((name) => join(sysfs, name))
  const users: string[] = []
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  const swaps = await readFile('/proc/swaps', 'utf8')
  for (const folder of [sysfs, ...children]) {
    const number = await readFile(join(folder, 'dev'), 'utf8').catch(() => undefined)
    if (number === undefined) continue
    const name = basename(folder)
    for (const line of mounts.split('\n')) {
      const [, , device, , place] = line.split(' ')
      if (device === number.trim()) users.push(`${name} is mounted on ${place}`)
    }
    if (swaps.includes(`/dev/${name} `)) users.push(`${name} is swap`)
    for (const holder of await readdir(join(folder, 'holders')).catch(() => [])) {
      users.push(`${name} is part of ${holder}`)
    }
  }
  return users
}

async function readNumber(path: string): Promise<number> {
  return Number.parseInt(await readFile(path, 'utf8'), 10)
}
