/**
 * What `osflash cleanup` does.
 *
 * 1. The operator types the serial number of the stage, unless `--yes` says so.
 * 2. Then the disk becomes blank, and its boot entry goes.
 */
import { startsByStage } from '../../flash/boot/native-start.ts'
import { removeRescueEntry } from '../../flash/boot/uefi.ts'
import { type CleanedStage, cleanUp } from '../../flash/cleanup.ts'
import { identityText } from '../../flash/host/disk-identity.ts'
import { resolveDisk } from '../../flash/host/disks.ts'
import type { FlashPlan } from '../../flash/plan/plan.ts'
import { holdReplacement } from '../../flash/plan/run-state.ts'
import { askTyped } from '../typed-word.ts'
import type { VerbContext } from '../verb.ts'

export interface CleanupVerbOptions {
  /** Nobody is asked. */
  readonly yes?: boolean
}

/** @throws OsflashError `refused` unless this is a confirmed target, `cancelled` */
export async function cleanup(options: CleanupVerbOptions, context: VerbContext): Promise<void> {
  const { json, signal, stdout, emit } = context
  await using _lock = await holdReplacement()
  const cleaned = await cleanUp({
    removeEntry,
    startsByStage,
    emit,
    agree: async ({ stage }, path) => {
      if (options.yes === true) return
      const word = stage.serial ?? stage.wwn ?? path
      const lost = `All of ${path}, ${identityText(stage)}, with the rescue on it, is lost.`
      await askTyped({ question: `${lost} Type ${word} to go on: `, word, signal })
    },
  })
  stdout.write(`${json ? JSON.stringify(cleanedFacts(cleaned)) : cleanedText(cleaned)}\n`)
}

/** A script that throws the disk away looks for its name in `blank`. */
export const cleanedFacts = ({ disk, isBlank }: CleanedStage): object =>
  isBlank ? { blank: disk } : { blank: null, disk, secretsMayBeLeft: true }

export const cleanedText = ({ disk, isBlank }: CleanedStage): string =>
  isBlank ? `${disk} is blank` : `${disk} starts nothing any more, but secrets may be left on it`

async function removeEntry({ host, stage }: FlashPlan): Promise<void> {
  if (host.firmware !== 'uefi') return
  await removeRescueEntry({ stageDisk: () => resolveDisk(stage, { tableId: 'ignore' }) })
}
