/**
 * The block device of a store, and where it is mounted: asked of the kernel, not of a tool.
 *
 * 1. Every block device of sysfs is looked at: ext4's magic number and UUID stand in its
 *    superblock (Documentation/filesystems/ext4/globals.rst: at byte 1024; 0x38 and 0x68).
 *    blkid answers from a cache, /dev/disk/by-uuid from what udev once saw; both show one of two.
 * 2. A device with holders (multipath, device mapper) stands for nothing: the holder counts.
 * 3. A loop device over a disk is only another view of a partition of it. Of the two the one that
 *    is mounted is taken: a file system must not be mounted through both.
 * 4. The same UUID on two disks is a clone: nobody can say which is meant, so both are refused.
 */
import { open, readdir, readFile, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errnoOf, ioError, OsflashError } from '../errors.ts'

const SYSFS = '/sys/class/block'
const SUPERBLOCK_OFFSET = 1_024
const SUPERBLOCK_BYTES = 1_024
const MAGIC_OFFSET = 0x38
const MAGIC = 0xef53
const UUID_OFFSET = 0x68
const UUID_BYTES = 16
/** A floppy drive would be waited for; a smaller device holds no store. */
const SECTORS_MIN = 8_192

export interface StoreDevice {
  readonly path: string
  /** Where it is mounted now, the last mount last. */
  readonly mounts: readonly Mount[]
}

export interface Mount {
  readonly place: string
  readonly readOnly: boolean
  /** `major:minor` of the device. */
  readonly device: string
}

/**
 * The one device that holds the ext4 file system with this UUID.
 * @param uuid lower case, with hyphens
 * @throws OsflashError `refused` when there is none, or more than one
 */
export async function findStoreDevice(uuid: string): Promise<StoreDevice> {
  const found = await candidates(uuid)
  const disks = new Set(found.map(({ disk }) => disk))
  const own = found.filter(({ isView }) => !isView)
  if (disks.size > 1 || own.length > 1) {
    const paths = found.map(({ path }) => path).join(', ')
    throw new OsflashError('refused', `finding the store ${uuid}: ${paths} all have it`, {
      hints: ['one is a copy of the other: disconnect the copy'],
    })
  }
  const device = found.find(({ mounts }) => mounts.length > 0) ?? own[0] ?? found[0]
  if (device === undefined) {
    throw new OsflashError('refused', `finding the store ${uuid}: no device has this file system`, {
      data: { found: 0 },
      hints: ['blkid lists those that are there; is the stage disk connected?'],
    })
  }
  return { path: device.path, mounts: device.mounts }
}

interface Candidate extends StoreDevice {
  /** Kernel name of the disk that it lies on. */
  readonly disk: string
  /** A loop device over a part of a disk. */
  readonly isView: boolean
}

async function candidates(uuid: string): Promise<Candidate[]> {
  const found: (Omit<Candidate, 'mounts'> & { readonly number: string })[] = []
  for (const name of (await readdir(SYSFS)).sort()) {
    const path = `/dev/${name.replaceAll('!', '/')}`
    if (!(await isCandidate(name)) || (await ext4Uuid(path)) !== uuid) continue
    const number = await readText(name, 'dev')
    const backing = await readText(name, 'loop/backing_file')
    const isView = backing.startsWith('/dev/')
    const disk = await diskOf(isView ? basename(backing) : name)
    found.push({ path, number, disk, isView })
  }
  const mounts = await readMounts()
  return found.map(({ number, ...device }) => ({
    ...device,
    mounts: mounts.filter((mount) => mount.device === number),
  }))
}

/** The folder of a partition lies in that of its disk. */
async function diskOf(name: string): Promise<string> {
  const folder = await realpath(join(SYSFS, name)).catch(() => name)
  const isPartition = (await readText(name, 'partition')) !== ''
  return basename(isPartition ? dirname(folder) : folder)
}

async function isCandidate(name: string): Promise<boolean> {
  if (Number(await readText(name, 'size')) < SECTORS_MIN) return false
  return (await readdir(join(SYSFS, name, 'holders')).catch(() => [])).length === 0
}

/** UUID of the ext4 file system on a device; `undefined` for anything that cannot be read. */
async function ext4Uuid(path: string): Promise<string | undefined> {
  const block = Buffer.alloc(SUPERBLOCK_BYTES)
  try {
    await using file = await open(path, 'r')
    await file.read(block, 0, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET)
  } catch (cause) {
    if (errnoOf(cause) === 'EACCES') throw ioError(`reading ${path}`, cause)
    // No medium, no node, a failing disk: not the store.
    return undefined
  }
  if (block.readUInt16LE(MAGIC_OFFSET) !== MAGIC) return undefined
  const hex = block.toString('hex', UUID_OFFSET, UUID_OFFSET + UUID_BYTES)
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** Mounts of whole file systems, in the order in which they were made. */
export async function readMounts(): Promise<Mount[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8')
  return text.split('\n').flatMap((line) => {
    // proc_pid_mountinfo(5)
    const [, , device, root, place, options] = line.split(' ')
    if (device === undefined || root !== '/' || place === undefined) return []
    const readOnly = options?.split(',').includes('ro') ?? false
    return [{ device, place: plainPlace(place), readOnly }]
  })
}

const plainPlace = (place: string): string =>
  place.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number(`0o${octal}`)))

async function readText(name: string, file: string): Promise<string> {
  return (await readFile(join(SYSFS, name, file), 'utf8').catch(() => '')).trim()
}
