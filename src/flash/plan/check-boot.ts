/**
 * Whether this host's firmware and boot loader can be told to start the rescue once.
 *
 * 1. BIOS: the first OS's GRUB must understand it (boot/grub-arm.ts), and must be able to write
 *    its environment block: a plain partition with a file system that GRUB writes to in place.
 * 2. BIOS: it starts --disk, as far as its and the stage's sector 0 tell; GRUB itself says more
 *    once it starts the rescue (boot/stage-drive.ts).
 * 3. UEFI: NVRAM takes a variable, whatever the boot loader is.
 *
 * Reads only, but for the variable of 3, which is deleted again.
 */
import { BOOT_CODE_BYTES } from '../../format/gpt.ts'
import { readGrubTexts } from '../boot/bios-first-os.ts'
import { disarmedText, type GrubTexts, grubRefusals } from '../boot/grub-arm.ts'
import { hasSignature, isStartedByBios, SECTOR_BYTES } from '../boot/guard.ts'
import { readPiece } from '../boot/one-write.ts'
import type { Disk } from '../host/disk-identity.ts'
import type { HostFacts } from '../host/host.ts'
import { disksOfMount, isOnPlainDevice, mountOf } from '../host/mounts.ts'
import type { FlashPlan } from './plan.ts'
import { refused } from './refused.ts'

/** What a BIOS would start of a disk. */
export interface StartSector {
  readonly path: string
  /** 512 octets. */
  readonly sector0: Uint8Array
}

/** What stands in the GRUB folder of the first OS, and on what. */
export interface GrubFacts {
  readonly folder: string
  readonly texts: GrubTexts
  readonly fileSystem: string
  /** A partition, not RAID, LVM or dm-crypt. */
  readonly isPlain: boolean
  readonly disks: readonly string[]
}

/** The GRUB of the first OS, where there is one. */
export async function readGrub(
  host: Pick<HostFacts, 'grubFolder' | 'mounts'>,
): Promise<GrubFacts | undefined> {
  const folder = host.grubFolder
  const mount = folder === undefined ? undefined : mountOf(host.mounts, folder)
  if (folder === undefined || mount === undefined) return undefined
  return {
    folder,
    texts: await readGrubTexts(folder),
    fileSystem: mount.fileSystem,
    isPlain: await isOnPlainDevice(mount),
    disks: await disksOfMount(mount),
  }
}

/** GRUB writes to blocks that it knows; these file systems neither move nor check them. */
const WRITABLE: readonly string[] = ['ext2', 'ext3', 'ext4', 'xfs', 'vfat']

/**
 * @param isBegun a run was cut here: what it armed is undone before it is armed again
 * @throws OsflashError `refused`
 */
export function checkGrub(
  grub: GrubFacts | undefined,
  disk: Disk,
  isBegun = false,
): asserts grub is GrubFacts {
  if (grub === undefined) {
    throw refused(
      'checking the boot loader: there is no GRUB in /boot/grub or /boot/grub2',
      'under BIOS only GRUB is understood',
    )
  }
  const what = `checking the boot loader in ${grub.folder}`
  if (!grub.disks.includes(disk.name)) {
    throw refused(
      `${what}: it lies on ${grub.disks.join(', ') || 'no disk'}, not on ${disk.path}`,
      'the host must boot from the disk that is replaced',
    )
  }
  if (!grub.isPlain || !WRITABLE.includes(grub.fileSystem)) {
    const where = grub.isPlain ? grub.fileSystem : 'RAID, LVM or an encrypted volume'
    throw refused(
      `${what}: GRUB cannot write to it, it lies on ${where}`,
      `/boot on a partition of its own with ${WRITABLE.join(', ')}`,
    )
  }
  const { custom } = grub.texts
  const texts = isBegun ? { ...grub.texts, custom: disarmedText(custom, custom) } : grub.texts
  const [why] = grubRefusals(texts)
  if (why !== undefined) {
    throw refused(`${what}: ${why}`, 'update-grub or grub-mkconfig writes what is needed')
  }
}

/** @throws OsflashError `io` */
export const readStartSector = async ({ path }: Pick<Disk, 'path'>): Promise<StartSector> => ({
  path,
  sector0: await readPiece({ path, offset: 0, length: SECTOR_BYTES }),
})

/** @throws OsflashError `refused` unless the disk has GRUB's boot code, as the guard will */
export function checkStartsGrub({ path, sector0 }: StartSector): void {
  if (isStartedByBios(sector0)) return
  throw refused(
    `checking the boot loader: sector 0 of ${path} has no GRUB that loads itself from this disk`,
    `the BIOS must start the disk that is replaced: grub-install ${path}, and put it first there`,
  )
}

/**
 * @param isOurs an earlier run of osflash wrote this stage
 * @throws OsflashError `refused` when this may be what the BIOS starts
 */
export function checkStartsNothing({ path, sector0 }: StartSector, isOurs: boolean): void {
  const hasCode = sector0.subarray(0, BOOT_CODE_BYTES).some((byte) => byte !== 0)
  if (isOurs || !hasCode || !hasSignature(sector0)) return
  throw refused(
    `checking the stage ${path}: it has boot code, so this host may boot from it`,
    `if it surely does not: dd if=/dev/zero of=${path} bs=${BOOT_CODE_BYTES} count=1 conv=fsync`,
  )
}

/** How the rescue will be started once. */
export function armOf(
  firmware: HostFacts['firmware'],
  grub: GrubFacts | undefined,
): FlashPlan['arm'] {
  if (firmware === 'uefi') return { kind: 'boot-next' }
  if (grub === undefined) throw new RangeError('checked before: BIOS needs GRUB')
  return { kind: 'grub', folder: grub.folder }
}
