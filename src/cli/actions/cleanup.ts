/**
 * What `osflash cleanup` does.
 *
 * 1. The operator types the serial number of the stage, unless `--yes` says so.
 * 2. Then the disk becomes blank, and its boot entry goes.
 */
import { startsByStage } from '../../flash/boot/native-start.ts'
import { removeRescueEntry } from '../../flash/boot/uefi.ts'
import { cleanUp } from '../../flash/cleanup.ts'
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
  const { disk, isBlank } = await cleanUp({
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
  const said = isBlank ? 'is blank' : 'starts nothing any more, but secrets may be left on it'
  const ended = isBlank ? { blank: disk } : { blank: null, disk, secretsMayBeLeft: true }
  stdout.write(json ? `${JSON.stringify(ended)}\n` : `${disk} ${said}\n`)
}

async function removeEntry({ host, stage }: FlashPlan): Promise<void> {
  if (host.firmware !== 'uefi') return
  await removeRescueEntry({ stageDisk: () => resolveDisk(stage, { tableId: 'ignore' }) })
}
