/**
 * What preflight asks of UEFI firmware.
 *
 * 1. Its variables can be seen, written and read back; Secure Boot is off.
 * 2. Neither this system nor the next start begins on the disk that becomes the stage.
 *
 * Leaves nothing.
 */
import { OsflashError } from '../../errors.ts'
import { GPT_PROBE_BYTES, parseGpt } from '../../format/gpt.ts'
import { describeBlockDevice } from '../../system/block-device.ts'
import { checkBootVariables, readCurrent, readEntry, readGuid, readOrder } from './boot-order.ts'
import { parseLoadOption } from './efi-load-option.ts'
import { type EfiVariables, efiVariables } from './efi-variables.ts'
import { readPiece } from './one-write.ts'

/**
 * Whether this firmware can be told what to start; for preflight. Leaves nothing.
 * @throws OsflashError `refused`: Secure Boot, variables that are not there, not written, not kept
 */
export function checkFirmware(folder?: string): Promise<void> {
  return tryVariables(efiVariables(folder)).catch((cause: unknown) => {
    if (!(cause instanceof OsflashError) || cause.code === 'refused') throw cause
    throw new OsflashError('refused', `checking the firmware: ${cause.message}`, {
      cause,
      hints: [...cause.hints, "efivarfs must be mounted read-write at the firmware's variables"],
    })
  })
}

async function tryVariables(variables: EfiVariables): Promise<void> {
  if ((await variables.list()).length === 0) {
    throw new OsflashError('refused', 'checking the firmware: its variables cannot be seen', {
      hints: ['mount -t efivarfs efivarfs /sys/firmware/efi/efivars'],
    })
  }
  if ((await variables.read('SecureBoot'))?.[0] === 1) {
    throw new OsflashError('refused', 'checking the firmware: Secure Boot is on', {
      hints: ["turn it off in the firmware's setup; the rescue is not signed for it"],
    })
  }
  await checkBootVariables(variables)
}

/**
 * That this system was not started from the stage, and that the next start does not begin there,
 * as far as the firmware names partitions: while the stage is written, it starts nothing.
 * @throws OsflashError `refused`, `io`
 */
export async function checkNotStartedFrom(stage: string, folder?: string): Promise<void> {
  const variables = efiVariables(folder)
  const sectorBytes = (await describeBlockDevice(stage))?.sectorBytes ?? 512
  const start = await readPiece({ path: stage, offset: 0, length: GPT_PROBE_BYTES })
  const partitions = parseGpt(start, sectorBytes)?.partitions ?? []
  const isOnStage = async (entry: number | undefined): Promise<boolean> => {
    const guid = await readGuid(variables, entry)
    return guid !== undefined && partitions.some((one) => one.guid === guid)
  }
  const refused = (why: string, hint: string) =>
    new OsflashError('refused', `checking the stage ${stage}: ${why}`, { hints: [hint] })
  if (await isOnStage(await readCurrent(variables))) {
    const hint = 'install the boot loader on the disk of this system, and boot from there'
    throw refused('this host booted from its ESP', hint)
  }
  if (await isOnStage(await firstOf(variables))) {
    const hint =
      'osflash abort, where a replacement was begun; else efibootmgr -o, this system first'
    throw refused('the firmware starts it first', hint)
  }
}

/** What the firmware starts where nothing else is asked for: it passes over what is not active. */
async function firstOf(variables: EfiVariables): Promise<number | undefined> {
  for (const entry of await readOrder(variables)) {
    const option = await readEntry(variables, entry)
    if (option !== undefined && parseLoadOption(option)?.active !== false) return entry
  }
  return undefined
}
