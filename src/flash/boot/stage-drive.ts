/**
 * Which BIOS drive the stage is, as the boot loader that started the rescue saw it.
 *
 * 1. GRUB puts its own name of the rescue's partition on the kernel's command line:
 *    `osflash.stage=hd1,gpt3`. Its hdN is BIOS drive 0x80 + N, exactly.
 * 2. The entry in the first OS's GRUB puts that GRUB's folder there too:
 *    `osflash.first=(hd0,gpt2)/boot/grub`. hd0 is the disk that the BIOS starts.
 * 3. Names of GRUB's own disk drivers (`ahci0`, `usb0`) say nothing about the BIOS: refused.
 * 4. Where the kernel asked the BIOS too (/sys/firmware/edd), it must not say otherwise.
 */

import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { exists } from '../../system/exists.ts'
import { readIfThere } from '../../system/read-if-there.ts'
import { FIRST_DRIVE } from './guard.ts'

export const STAGE_PARAMETER = 'osflash.stage'

/**
 * @param commandLine text of /proc/cmdline
 * @throws OsflashError `refused` when it names no BIOS drive, or more than one
 */
export function parseStageDrive(commandLine: string): number {
  const words = commandLine.split(/\s+/).filter((word) => word.startsWith(`${STAGE_PARAMETER}=`))
  const values = new Set(words.map((word) => word.slice(STAGE_PARAMETER.length + 1)))
  const [value = ''] = values
  const number = /^\(?hd(\d{1,2}),(?:gpt|msdos)\d+\)?$/.exec(value)?.[1]
  if (values.size === 1 && number !== undefined) return FIRST_DRIVE + Number(number)
  const seen = values.size === 0 ? 'nothing' : [...values].join(' and ')
  throw new OsflashError(
    'refused',
    `finding the BIOS drive of the stage: GRUB said ${seen === '' ? 'nothing' : seen}`,
    {
      data: { stage: seen },
      hints: ["the first OS's GRUB must read disks through the BIOS (no ahci or usb modules)"],
    },
  )
}

export const FIRST_PARAMETER = 'osflash.first'

/**
 * That the BIOS starts the disk with the first OS's GRUB, where the guard will be.
 * @param commandLine text of /proc/cmdline
 * @throws OsflashError `refused`
 */
export function checkFirstDrive(commandLine: string): void {
  const name = `${FIRST_PARAMETER}=`
  const values = commandLine
    .split(/\s+/)
    .flatMap((word) => (word.startsWith(name) ? word.slice(name.length) : []))
  const seen = values.join(' and ') || 'nothing'
  if (values.length > 0 && values.every((value) => /^"?\(hd0,/.test(value))) return
  throw new OsflashError(
    'refused',
    `finding the disk that the BIOS starts: the first OS's GRUB lies in ${seen}, not on hd0`,
    { data: { first: seen }, hints: ["put the disk that is replaced first in the BIOS's setup"] },
  )
}

/** What sector 0 and the kernel say of the stage. */
export interface StageDisk {
  readonly drive: number
  /** In 512 bytes. */
  readonly sectors: number
  /** The 32-bit number at byte 440 of sector 0. */
  readonly mbrSignature: number
}

/**
 * @param folder /sys/firmware/edd; it may not exist
 * @throws OsflashError `refused` when the BIOS described that drive as another disk
 */
export async function checkEdd(disk: StageDisk, folder = '/sys/firmware/edd'): Promise<void> {
  const name = `int13_dev${disk.drive.toString(16)}`
  if (!(await exists(folder))) return
  const disagree = (what: string) =>
    new OsflashError('refused', `asking the BIOS for drive 0x${disk.drive.toString(16)}: ${what}`, {
      hints: ["disks have other numbers now than under the first OS's GRUB; nothing was changed"],
    })
  if (!(await exists(join(folder, name)))) throw disagree('it has none')
  const sectors = await readFact(join(folder, name, 'sectors'))
  if (sectors !== undefined && sectors !== disk.sectors) {
    throw disagree(`it has ${sectors} sectors, the stage ${disk.sectors}`)
  }
  const signature = await readFact(join(folder, name, 'mbr_signature'))
  if (signature !== undefined && signature !== disk.mbrSignature) {
    throw disagree('its sector 0 is not that of the stage')
  }
}

/** The kernel makes no file for what the BIOS did not say. */
async function readFact(path: string): Promise<number | undefined> {
  const text = (await readIfThere(path))?.toString('latin1').trim() ?? ''
  return text === '' ? undefined : Number(text)
}
