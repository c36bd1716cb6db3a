/**
 * The guard: a sector 0 of disk 1 that starts the stage, whatever else is on disk 1.
 *
 * | offset | size | what, in GRUB's boot.img (grub-core/boot/i386/pc/boot.S)       |
 * |--------|------|----------------------------------------------------------------|
 * | 0      | 3    | EB 63 90: a jump over the parameters                           |
 * | 0x5A   | 2    | 0x8000: where the core image goes                              |
 * | 0x5C   | 8    | sector of the core image                                       |
 * | 0x64   | 1    | BIOS drive of the core image; 0xFF: the drive that was started |
 * | 0x66   | 2    | two NOPs in place of a jump                                    |
 * | 0x180  | 4    | `GRUB`                                                         |
 *
 * 1. The stage's own boot code is what is known to start the stage. The guard is that code with
 *    one byte changed: the drive.
 * 2. The table (440 to 509) is not the guard's: it stays what it is, so that old partitions can
 *    still be found after a power cut and wiped.
 *
 * Pure. Not promised: disks with sectors of another size than 512 bytes; no BIOS starts them.
 */
import { OsflashError } from '../../errors.ts'
import { BOOT_CODE_BYTES } from '../../format/gpt.ts'

export const SECTOR_BYTES = 512
export const BOOT_SIGNATURE = [0x55, 0xaa] as const
export const BOOT_SIGNATURE_AT = 510
const CORE_ADDRESS_AT = 0x5a
const CORE_ADDRESS = 0x8000
const CORE_LBA_AT = 0x5c
const DRIVE_AT = 0x64
const DRIVE_STARTED = 0xff
const DRIVE_CHECK_AT = 0x66
const NOP = 0x90
const NAME_AT = 0x180
/** The block list of the core image's first sector, as grub.ts makes it. */
const BLOCK_LIST_AT = 500
const KERNEL_SEGMENT = 0x820

/** BIOS drive numbers of hard disks that boot.img takes; 0x80 is the disk that is started. */
export const FIRST_DRIVE = 0x80
const LAST_DRIVE = 0x8f

/** A disk that can be guarded with: its sector 0 and its size. */
export interface StageStart {
  readonly sector0: Uint8Array
  /** Of the stage, in 512 bytes. */
  readonly sectors: number
}

/**
 * The guard's boot code (440 bytes), made of the stage's.
 * @param drive BIOS drive of the stage, 0x81 to 0x8F
 * @throws OsflashError `refused` when the stage's is not GRUB's as our images have it, or the
 *   stage is the disk that the BIOS starts
 */
export function makeGuardCode(stage: StageStart, drive: number): Uint8Array {
  coreLbaOf(stage)
  if (!Number.isInteger(drive) || drive <= FIRST_DRIVE || drive > LAST_DRIVE) {
    throw refused(`the stage is BIOS drive 0x${drive.toString(16)}`, [
      'let the BIOS start the disk that is to be replaced, not the stage',
    ])
  }
  const code = Uint8Array.from(stage.sector0.subarray(0, BOOT_CODE_BYTES))
  code[DRIVE_AT] = drive
  return code
}

/**
 * Where the stage's core image begins, in sectors of 512 bytes.
 * @throws OsflashError `refused` when the sector is not GRUB's boot.img as our images have it
 */
export function coreLbaOf({ sector0, sectors }: StageStart): number {
  const bytes = Buffer.from(sector0)
  const refuse = (why: string) => refused(`sector 0 of the stage ${why}`, OTHER_RESCUE)
  if (bytes.length !== SECTOR_BYTES) throw refuse(`has ${bytes.length} bytes`)
  if (!hasSignature(bytes)) throw refuse('has no boot signature')
  const isGrub =
    bytes[0] === 0xeb &&
    bytes[1] === 0x63 &&
    bytes.readUInt16LE(CORE_ADDRESS_AT) === CORE_ADDRESS &&
    bytes.toString('latin1', NAME_AT, NAME_AT + 4) === 'GRUB'
  if (!isGrub) throw refuse("is not GRUB's")
  const checksDrive = bytes[DRIVE_CHECK_AT] !== NOP || bytes[DRIVE_CHECK_AT + 1] !== NOP
  if (bytes[DRIVE_AT] !== DRIVE_STARTED || checksDrive) throw refuse('names a drive of its own')
  const lba = bytes.readBigUInt64LE(CORE_LBA_AT)
  if (lba < 1n || lba >= BigInt(sectors)) throw refuse(`names sector ${lba} as the core image's`)
  return Number(lba)
}

/**
 * @param core the first sector of the core image
 * @throws OsflashError `refused` unless it loads the sectors behind it
 */
export function checkCoreSector(core: Uint8Array, lba: number): void {
  const bytes = Buffer.from(core)
  const follows =
    bytes.length === SECTOR_BYTES &&
    bytes.readBigUInt64LE(BLOCK_LIST_AT) === BigInt(lba + 1) &&
    bytes.readUInt16LE(BLOCK_LIST_AT + 8) > 0 &&
    bytes.readUInt16LE(BLOCK_LIST_AT + 10) === KERNEL_SEGMENT
  if (!follows) throw refused(`sector ${lba} of the stage is not GRUB's core image`, OTHER_RESCUE)
}

const OTHER_RESCUE = ['take a rescue image that osflash build made with firmware bios']

/** The drive that a guard starts; undefined when the sector is not this stage's guard. */
export function guardedDrive(sector0: Uint8Array, stage: StageStart): number | undefined {
  const drive = sector0[DRIVE_AT] ?? 0
  if (drive <= FIRST_DRIVE || drive > LAST_DRIVE) return undefined
  return isGuarded(sector0, makeGuardCode(stage, drive)) ? drive : undefined
}

/** Whether a sector 0 has this guard's code and the signature. */
export function isGuarded(sector0: Uint8Array, guardCode: Uint8Array): boolean {
  const code = sector0.subarray(0, BOOT_CODE_BYTES)
  return hasSignature(sector0) && Buffer.compare(code, guardCode) === 0
}

/** A sector 0 with the guard's code in place of its own. */
export function guardedSector(sector0: Uint8Array, guardCode: Uint8Array): Uint8Array {
  if (guardCode.length !== BOOT_CODE_BYTES) throw new RangeError('guard code of another size')
  const sector = Uint8Array.from(sector0)
  sector.set(guardCode)
  sector.set(BOOT_SIGNATURE, BOOT_SIGNATURE_AT)
  return sector
}

export const hasSignature = (sector0: Uint8Array): boolean =>
  BOOT_SIGNATURE.every((byte, i) => sector0[BOOT_SIGNATURE_AT + i] === byte)

/** Whether a sector 0 is GRUB's and takes the core image from the disk that the BIOS starts. */
export function isStartedByBios(sector0: Uint8Array): boolean {
  const bytes = Buffer.from(sector0)
  const isGrub = bytes.toString('latin1', NAME_AT, NAME_AT + 4) === 'GRUB'
  const drive = bytes[DRIVE_AT]
  return isGrub && hasSignature(bytes) && (drive === DRIVE_STARTED || drive === FIRST_DRIVE)
}

function refused(why: string, hints: readonly string[]): OsflashError {
  return new OsflashError('refused', `making the guard: ${why}`, { hints })
}
