/**
 * Whether this host still starts by way of the stage, so that the stage must stay.
 *
 * 1. BIOS: sector 0 of disk 1 has the boot code of the stage with another drive: the guard. Boot
 *    code that starts from its own disk is none, whether the stage can be read or not.
 * 2. UEFI: the rescue is first in BootOrder. A stage without an EFI system partition, such as one
 *    that is half blank, starts nothing, whatever is first.
 *
 * Reads only.
 */
import { OsflashError } from '../../errors.ts'
import { BOOT_CODE_BYTES } from '../../format/gpt.ts'
import { resolveDisk } from '../host/disks.ts'
import type { FlashPlan } from '../plan/plan.ts'
import { readOrder, starts } from './boot-order.ts'
import { type EfiVariables, efiVariables } from './efi-variables.ts'
import { FIRST_DRIVE, isStartedByBios, SECTOR_BYTES } from './guard.ts'
import { readPiece } from './one-write.ts'
import { readEsp } from './uefi.ts'

const LOADER = '\\EFI\\BOOT\\BOOTX64.EFI'
const DRIVE_AT = 0x64
const DRIVE_STARTED = 0xff

/** @throws OsflashError `refused` when a disk that must be asked is not there, `io` */
export async function startsByStage({ host, disk, stage }: FlashPlan): Promise<boolean> {
  const stageDisk = () => resolveDisk(stage, { tableId: 'ignore' })
  if (host.firmware === 'uefi') return isRescueFirst(await stageDisk())
  const sector0 = await readSector0(await resolveDisk(disk, { tableId: 'ignore' }))
  return !isStartedByBios(sector0) && isGuardOf(sector0, await readSector0(await stageDisk()))
}

const readSector0 = (path: string): Promise<Uint8Array> =>
  readPiece({ path, offset: 0, length: SECTOR_BYTES })

/** @param variables other than the firmware's only in tests */
export async function isRescueFirst(
  stageDisk: string,
  variables: EfiVariables = efiVariables(),
): Promise<boolean> {
  const [entry] = await readOrder(variables)
  if (entry === undefined) return false
  const esp = await readEsp(stageDisk).catch((error: unknown) => {
    if (error instanceof OsflashError && error.code === 'refused') return undefined
    throw error
  })
  return esp !== undefined && starts(variables, { entry, file: { esp, path: LOADER } })
}

/** Whether a sector 0 is the guard that was made of the stage's. */
export function isGuardOf(sector0: Uint8Array, stageSector0: Uint8Array): boolean {
  const drive = sector0[DRIVE_AT] ?? 0
  if (drive <= FIRST_DRIVE || drive === DRIVE_STARTED) return false
  const code = stageSector0.slice(0, BOOT_CODE_BYTES)
  code[DRIVE_AT] = drive
  return Buffer.compare(sector0.subarray(0, BOOT_CODE_BYTES), code) === 0
}
