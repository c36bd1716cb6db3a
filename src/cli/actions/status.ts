/**
 * What `osflash status` does.
 *
 * 1. The status is printed, whatever it is.
 * 2. Where the replacement failed, this fails too, with what can be done next as hints.
 */
import { OsflashError } from '../../errors.ts'
import { startsByStage } from '../../flash/boot/native-start.ts'
import { notifyAgain } from '../../flash/notify-again.ts'
import { readStatus } from '../../flash/status.ts'
import { isArmed } from '../is-armed.ts'
import { renderStatus } from '../status-text.ts'
import type { VerbContext } from '../verb.ts'

export interface StatusVerbOptions {
  /** Tells the address of the plan too. */
  readonly notify?: boolean
}

/** @throws OsflashError `refused` when it is held, was aborted, or the rescue did not come up */
export async function status(options: StatusVerbOptions, context: VerbContext): Promise<void> {
  const { json, stdout, emit } = context
  const { failed, ...facts } = await readStatus({ isArmed, startsByStage })
  stdout.write(json ? `${JSON.stringify(facts)}\n` : renderStatus(facts))
  if (options.notify) await notifyAgain(emit)
  if (!failed) return
  const { state, error, notes, next } = facts
  const why = error ?? notes.at(-1) ?? 'no reason was written down'
  throw new OsflashError('refused', `replacing the operating system: ${state}: ${why}`, {
    data: { state },
    hints: next,
  })
}
