/**
 * BIOS, in the first OS: its GRUB starts the rescue once.
 *
 * 1. custom.cfg gets the entry, whole or not at all; then `next_entry` is set in grubenv, in place
 *    (one write of 1,024 bytes). A cut between them leaves an entry that nobody starts.
 * 2. Disarming goes the other way round.
 * 3. Bytes that are not ours stay as they are.
 *
 * Not promised: that GRUB, which replays no journal, sees custom.cfg after a power cut right after
 * arming. It then starts the first OS.
 */

import { lstat, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { OsflashError } from '../../errors.ts'
import { readIfThere } from '../../system/read-if-there.ts'
import { removeFileSafely, writeFileSafely } from '../durable-file.ts'
import {
  armedEnvironment,
  armedText,
  disarmedEnvironment,
  disarmedText,
  type GrubTexts,
  grubRefusals,
  isArmedEnvironment,
  isArmedText,
  type RescueEntry,
  rescueEntry,
} from './grub-arm.ts'
import { readGrubEnvironment, writeGrubEnvironment } from './grub-environment.ts'
import type { ArmBackup, FirstOsBoot } from './method.ts'

export interface BiosFirstOsOptions {
  /** /boot/grub or /boot/grub2. */
  readonly grubFolder: string
  /** File system UUID of the rescue's root. */
  readonly rescueRootUuid: string
  /** As the rescue's manifest has them. */
  readonly kernel: string
  readonly initrd: string | undefined
  readonly commandLine: string
}

/** The three texts of a GRUB folder, for `grubRefusals`. @throws OsflashError `io` */
export async function readGrubTexts(grubFolder: string): Promise<GrubTexts> {
  const config = await readIfThere(join(grubFolder, 'grub.cfg'))
  const environment = await readIfThere(environmentPath(grubFolder))
  const custom = await readIfThere(customPath(grubFolder))
  return {
    config: config?.toString('latin1') ?? '',
    // Any bytes come back as they were.
    custom: custom?.toString('latin1'),
    isCustomLinked: await isLink(customPath(grubFolder)),
    environment,
  }
}

export function biosFirstOsBoot(options: BiosFirstOsOptions): FirstOsBoot {
  const { grubFolder, rescueRootUuid } = options
  const entry: RescueEntry = { ...options, rootUuid: rescueRootUuid }
  const isArmed = async (): Promise<boolean> => {
    const { custom, environment } = await readGrubTexts(grubFolder)
    const hasEntry = custom?.includes(rescueEntry(entry)) ?? false
    return hasEntry && environment !== undefined && isArmedEnvironment(environment)
  }
  return {
    backup: () => backup(grubFolder),
    arm: async () => {
      await arm(grubFolder, entry)
      if (await isArmed()) return
      throw new OsflashError('readback', `arming ${grubFolder}: it is not what was written`, {
        hints: ['osflash abort'],
      })
    },
    isArmed,
    disarm: (before) => disarm(grubFolder, before),
  }
}

async function backup(grubFolder: string): Promise<ArmBackup> {
  const texts = await readGrubTexts(grubFolder)
  const { environment } = texts
  const refusals = grubRefusals(texts)
  if (environment === undefined || refusals.length > 0) throw refused(grubFolder, refusals)
  const custom = texts.custom === undefined ? null : base64(Buffer.from(texts.custom, 'latin1'))
  return { kind: 'grub', environment: base64(environment), custom }
}

async function arm(grubFolder: string, entry: RescueEntry): Promise<void> {
  const texts = await readGrubTexts(grubFolder)
  // An entry of a run that was cut is replaced.
  const custom = disarmedText(texts.custom, texts.custom)
  const refusals = grubRefusals({ ...texts, custom })
  if (refusals.length > 0) throw refused(grubFolder, refusals)
  await writeCustom(grubFolder, armedText(custom, rescueEntry(entry)))
  const path = environmentPath(grubFolder)
  await writeGrubEnvironment(path, armedEnvironment(await readGrubEnvironment(path)))
}

async function disarm(grubFolder: string, backedUp: ArmBackup): Promise<void> {
  const before = parseBackup(backedUp)
  const path = environmentPath(grubFolder)
  const now = await readGrubEnvironment(path)
  const wanted = disarmedEnvironment(now, before.environment)
  if (Buffer.compare(now, wanted) !== 0) await writeGrubEnvironment(path, wanted)
  const { custom } = await readGrubTexts(grubFolder)
  if (!isArmedText(custom)) return
  const text = disarmedText(custom, before.custom)
  if (text === undefined) await removeFileSafely(customPath(grubFolder))
  else await writeCustom(grubFolder, text)
}

function parseBackup({ kind, environment, custom }: ArmBackup): {
  readonly environment: Uint8Array
  readonly custom: string | undefined
} {
  const known = custom === null || typeof custom === 'string'
  if (kind !== 'grub' || typeof environment !== 'string' || !known) {
    throw new OsflashError('format', 'reading what stood in GRUB before arming: it is damaged', {
      hints: ['remove the lines between the osflash marks from custom.cfg by hand'],
    })
  }
  return {
    environment: Buffer.from(environment, 'base64'),
    custom: custom === null ? undefined : Buffer.from(custom, 'base64').toString('latin1'),
  }
}

async function writeCustom(grubFolder: string, text: string): Promise<void> {
  const path = customPath(grubFolder)
  const mode = await stat(path).then(
    (found) => found.mode & 0o777,
    () => 0o644,
  )
  await writeFileSafely(path, Buffer.from(text, 'latin1'), mode)
}

const customPath = (grubFolder: string): string => join(grubFolder, 'custom.cfg')
const environmentPath = (grubFolder: string): string => join(grubFolder, 'grubenv')
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

const isLink = async (path: string): Promise<boolean> =>
  lstat(path).then(
    (found) => found.isSymbolicLink(),
    () => false,
  )

function refused(grubFolder: string, refusals: readonly string[]): OsflashError {
  return new OsflashError('refused', `arming ${grubFolder}: ${refusals.join('; ')}`, {
    hints: ['grub-mkconfig (update-grub) writes a grub.cfg that does all of this'],
  })
}
