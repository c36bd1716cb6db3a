/**
 * BIOS, in the rescue: sector 0 of disk 1 is the pointer, and one write of it is the commit.
 *
 * 1. guard: the boot code of sector 0 becomes the stage's own, with the stage's BIOS drive in it.
 * 2. flashing: the guarded target keeps it there; what the target's own sector 0 is goes into
 *    target-sector0.img, before each write.
 * 3. trial: `trial=1` in osflash.env; the stage's GRUB starts target-sector0.img once.
 * 4. confirm: the boot code becomes the target's own.
 * 5. unguard, while the first OS is whole: sector 0 is again what it was.
 *
 * The drive is what GRUB said when it started this rescue. When that is the first disk (somebody
 * let the BIOS start the stage) a guard that is already there keeps its drive.
 *
 * Files and sectors are changed in place, each by one write that is read back.
 */

import { access, constants, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ioError, OsflashError } from '../../errors.ts'
import { BOOT_CODE_BYTES, GPT_PROBE_BYTES, parseGpt } from '../../format/gpt.ts'
import { parseGrubEnvironment } from '../../format/grub-environment.ts'
import { describeBlockDevice } from '../../system/block-device.ts'
import { RESUME_WITH } from '../hints.ts'
import { RESCUE, TARGET } from '../places.ts'
import { readGrubEnvironment, setGrubVariables } from './grub-environment.ts'
import {
  checkCoreSector,
  coreLbaOf,
  FIRST_DRIVE,
  guardedDrive,
  guardedSector,
  hasSignature,
  isGuarded,
  makeGuardCode,
  SECTOR_BYTES,
  type StageStart,
} from './guard.ts'
import { guardTarget } from './guarded-target.ts'
import type { ArmBackup, ConfirmSettings, ReversibleBoot } from './method.ts'
import { readPiece, writeOnce } from './one-write.ts'
import { TRIAL_VARIABLE } from './stage-config.ts'
import { checkEdd, checkFirstDrive, parseStageDrive } from './stage-drive.ts'

export interface BiosRescueOptions {
  /** Finds the disk that is replaced, by its identity; called before each act. */
  readonly disk: () => Promise<string>
  readonly stageDisk: () => Promise<string>
  /** `/`, but in tests. */
  readonly rescueRoot: string
  /** Text of /proc/cmdline. */
  readonly commandLine: string
  /** /sys/firmware/edd, but in tests. */
  readonly eddFolder?: string
}

/** What stands on the disks now. */
interface Seen extends StageStart {
  readonly disk: string
  readonly stage: string
  readonly diskSector0: Uint8Array
  /** What GRUB said; undefined when it said nothing that can be used. */
  readonly drive: number | undefined
}

/** What `wrapTarget` needs at once. */
interface Known {
  readonly guardCode: Uint8Array
  readonly ownSector0: Uint8Array
}

export function biosRescueBoot(options: BiosRescueOptions): ReversibleBoot {
  let known: Known | undefined
  const hasGuard = async (): Promise<boolean> => {
    const seen = await look(options)
    const drive = guardedDrive(seen.diskSector0, seen)
    if (drive === undefined || (seen.drive ?? drive) !== drive) return false
    known = { guardCode: makeGuardCode(seen, drive), ownSector0: await readOwn(options) }
    return true
  }
  return {
    check: async () => void (await check(options)),
    hasGuard,
    guard: async () => {
      await placeGuard(options)
      if (!(await hasGuard())) throw guardMissing(await options.disk())
    },
    beforeGuard: () => beforeGuard(options),
    unguard: async (saved) => {
      const isGuarding = await hasGuard()
      await putBack(options, parseSaved(saved), isGuarding)
    },
    // Sector 0 decides, and it is changed by the guard alone.
    release: () => Promise.resolve(),
    wrapTarget: (target) => {
      if (known === undefined) throw guardMissing(target.path)
      const remember = async (bytes: Uint8Array): Promise<void> => {
        await writeOnce({ path: sector0Path(options), offset: 0, bytes })
        known = known && { ...known, ownSector0: bytes }
      }
      return guardTarget(target, { ...known, remember })
    },
    retarget: async () => void (await startable(options)),
    trial: async (granting) => {
      const { disk } = await startable(options)
      if (!(await hasGuard())) throw guardMissing(disk)
      await granting?.()
      await setGrubVariables(environmentPath(options), { [TRIAL_VARIABLE]: '1' })
    },
    confirm: async () => {
      const { disk, sector0, own } = await startable(options)
      const bytes = Uint8Array.from(sector0)
      bytes.set(own.subarray(0, BOOT_CODE_BYTES))
      await writeOnce({ path: disk, offset: 0, bytes })
    },
    confirmSettings: () => confirmSettings(options),
  }
}

const sector0Path = ({ rescueRoot }: BiosRescueOptions) => join(rescueRoot, RESCUE.targetSector0)
const environmentPath = ({ rescueRoot }: BiosRescueOptions) =>
  join(rescueRoot, RESCUE.grubEnvironment)

async function look(options: BiosRescueOptions): Promise<Seen> {
  const [disk, stage] = [await options.disk(), await options.stageDisk()]
  if (disk === stage) {
    throw new OsflashError('refused', `guarding ${disk}: it is the stage itself`)
  }
  const drive = driveSaid(options.commandLine)
  const sectors = Math.floor((await sizeOf(stage)) / SECTOR_BYTES)
  const sector0 = await readSector(stage, 0)
  return { disk, stage, diskSector0: await readSector(disk, 0), drive, sectors, sector0 }
}

function driveSaid(commandLine: string): number | undefined {
  try {
    const drive = parseStageDrive(commandLine)
    return drive === FIRST_DRIVE ? undefined : drive
  } catch (error) {
    if (error instanceof OsflashError && error.code === 'refused') return undefined
    throw error
  }
}

const readSector = (path: string, lba: number): Promise<Uint8Array> =>
  readPiece({ path, offset: lba * SECTOR_BYTES, length: SECTOR_BYTES })

/** @throws OsflashError `refused` for a device whose sectors no BIOS starts from */
async function sizeOf(path: string): Promise<number> {
  const device = await describeBlockDevice(path)
  if (device !== undefined && device.sectorBytes !== SECTOR_BYTES) {
    throw new OsflashError('refused', `guarding: ${path} has sectors of ${device.sectorBytes}`, {
      hints: ['no BIOS starts such a disk; boot the host by UEFI'],
    })
  }
  if (device !== undefined) return device.bytes
  const { size } = await stat(path).catch((cause: unknown) => {
    throw ioError(`looking at ${path}`, cause)
  })
  return size
}

/** The drive for a new guard. @throws OsflashError `refused` */
const driveOf = (seen: Seen, commandLine: string): number =>
  seen.drive ?? guardedDrive(seen.diskSector0, seen) ?? parseStageDrive(commandLine)

/** Finding the disks takes seconds on a slow host, so what was seen is handed on. */
async function check(options: BiosRescueOptions): Promise<Seen> {
  const seen = await look(options)
  await sizeOf(seen.disk)
  const drive = driveOf(seen, options.commandLine)
  makeGuardCode(seen, drive)
  // A guard is started by what it stands on.
  if (guardedDrive(seen.diskSector0, seen) === undefined) checkFirstDrive(options.commandLine)
  const lba = coreLbaOf(seen)
  checkCoreSector(await readSector(seen.stage, lba), lba)
  const mbrSignature = Buffer.from(seen.sector0).readUInt32LE(BOOT_CODE_BYTES)
  await checkEdd({ drive, sectors: seen.sectors, mbrSignature }, options.eddFolder)
  const environment = await readGrubEnvironment(environmentPath(options))
  if (!parseGrubEnvironment(environment).has(TRIAL_VARIABLE)) {
    throw new OsflashError('refused', `reading ${environmentPath(options)}: it has no trial flag`, {
      hints: ['osflash apply makes a stage that has'],
    })
  }
  await readOwn(options)
  for (const path of [environmentPath(options), sector0Path(options)]) {
    await access(path, constants.W_OK).catch((cause: unknown) => {
      throw ioError(`writing ${path}`, cause)
    })
  }
  return seen
}

async function placeGuard(options: BiosRescueOptions): Promise<void> {
  const seen = await check(options)
  // Before the guard counts: its first start must not be a trial of something old.
  await setGrubVariables(environmentPath(options), { [TRIAL_VARIABLE]: '0' })
  const code = makeGuardCode(seen, driveOf(seen, options.commandLine))
  const { disk, diskSector0 } = seen
  if (isGuarded(diskSector0, code)) return
  await writeOnce({ path: disk, offset: 0, bytes: guardedSector(diskSector0, code) })
}

async function beforeGuard(options: BiosRescueOptions): Promise<ArmBackup | undefined> {
  const seen = await look(options)
  if (guardedDrive(seen.diskSector0, seen) !== undefined) return undefined
  return { kind: SECTOR_0, sector0: Buffer.from(seen.diskSector0).toString('base64') }
}
const SECTOR_0 = 'sector-0'

function parseSaved({ kind, sector0 }: ArmBackup): Uint8Array {
  const bytes = Buffer.from(typeof sector0 === 'string' ? sector0 : '', 'base64')
  if (kind === SECTOR_0 && bytes.length === SECTOR_BYTES && hasSignature(bytes)) return bytes
  throw new OsflashError('format', 'reading the first sector 0: it is not what osflash saved')
}

/** Only over the guard, or over itself; the table in it must be the one on the disk. */
async function putBack(
  options: BiosRescueOptions,
  bytes: Uint8Array,
  isGuarding: boolean,
): Promise<void> {
  const { disk, diskSector0 } = await look(options)
  const isBack = Buffer.compare(bytes, diskSector0) === 0
  if (isBack) return
  if (!isGuarding) throw guardMissing(disk)
  if (Buffer.compare(tableOf(bytes), tableOf(diskSector0)) !== 0) {
    throw new OsflashError('refused', `giving back sector 0 of ${disk}: its table was changed`, {
      hints: ['osflash resume writes the target'],
    })
  }
  await writeOnce({ path: disk, offset: 0, bytes })
}

const readOwn = (options: BiosRescueOptions): Promise<Uint8Array> =>
  readPiece({ path: sector0Path(options), offset: 0, length: SECTOR_BYTES })

interface Startable {
  readonly disk: string
  readonly sector0: Uint8Array
  readonly own: Uint8Array
}

/**
 * The target's own sector 0, which belongs to the table on the disk.
 * @throws OsflashError `readback`, `refused` when it starts nothing
 */
async function startable(options: BiosRescueOptions): Promise<Startable> {
  const { disk, diskSector0: sector0 } = await look(options)
  const own = await readOwn(options)
  const hasCode = own.subarray(0, BOOT_CODE_BYTES).some((byte) => byte !== 0)
  if (!hasSignature(own) || !hasCode) {
    throw new OsflashError('refused', `starting ${disk}: the target has no boot code for BIOS`, {
      hints: [`${RESUME_WITH}, an image for firmware bios`],
    })
  }
  if (Buffer.compare(tableOf(own), tableOf(sector0)) === 0) return { disk, sector0, own }
  throw new OsflashError('readback', `reading back ${disk} at byte ${BOOT_CODE_BYTES}: ${OTHER}`, {
    hints: ['osflash resume writes the target again'],
  })
}
const OTHER = 'the partition table is not what was written'

const tableOf = (sector0: Uint8Array): Uint8Array => sector0.subarray(BOOT_CODE_BYTES, 510)

async function confirmSettings(options: BiosRescueOptions): Promise<ConfirmSettings> {
  const { disk, own } = await startable(options)
  const start = await readPiece({ path: disk, offset: 0, length: GPT_PROBE_BYTES })
  const mbrId = Buffer.from(own).readUInt32LE(BOOT_CODE_BYTES).toString(16).padStart(8, '0')
  const tableId = parseGpt(start, SECTOR_BYTES)?.guid ?? mbrId
  return {
    variables: { FIRMWARE: 'bios', SECTOR0: TARGET.sector0, TABLE_ID: tableId },
    files: [{ path: TARGET.sector0, bytes: own }],
  }
}

function guardMissing(path: string): OsflashError {
  return new OsflashError('readback', `guarding ${path}: the guard is not in place`, {
    hints: ['osflash resume puts it there again'],
  })
}
